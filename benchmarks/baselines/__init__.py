"""Two other programs for the same model: `same_algorithm` in numpy, `obvious` page by page."""
