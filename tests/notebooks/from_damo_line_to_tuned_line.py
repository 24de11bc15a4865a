"""What must hold in notebooks/from_damo_line_to_tuned_line.py once the cell that ends with the line named has run."""

# after: print(tuned)
assert tuned.met
assert not tuned.tried[0]["met"]

# after, 4 deep:     print(seed, *(f"{clause.name} {clause.value:g}" for clause in clauses))
assert all(clause.ok for clause in clauses)
