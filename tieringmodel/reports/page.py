"""The page around the contents: its skeleton and its style sheet."""

from string import Template

# No script and nothing from elsewhere: the policy makes the browser refuse both.
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<header>
<h1>$title</h1>
$contents
</header>
<main>
$sections
</main>
<footer>
<h2>How to reproduce</h2>
<pre><code>$command</code></pre>
$seeds
<p>The same command, seed and versions give the same numbers.</p>
<table class="versions"><caption>Versions</caption>
$versions
</table>
</footer>
</body>
</html>
""")

STYLE = """
:root{--ink:#1c1e21;--soft:#5b6168;--paper:#fff;--card:#f6f7f8;--line:#d9dde1;--blue:#0072b2;--good:#00694c;--bad:#a63f00}
@media(prefers-color-scheme:dark){
:root{--ink:#e8eaed;--soft:#a4abb3;--paper:#15171a;--card:#1e2125;--line:#363b41;--blue:#3d9ae0;--good:#3fc79a;--bad:#ff9a5c}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:62rem;padding:1rem;color:var(--ink);background:var(--paper);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .5rem}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
p,li{overflow-wrap:anywhere}
a{color:var(--blue)}
section{border-top:1px solid var(--line);margin-top:2rem}
.question{font-size:1.1rem;color:var(--soft);margin:.2rem 0 1rem}
.headline{font-size:1.1rem;font-weight:600;margin:.3rem 0}
.facts{color:var(--soft);font-size:.9rem}
ul{padding-left:1.2rem;margin:.3rem 0}
li{margin:.25rem 0}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch;border:1px solid var(--line);border-radius:6px}
table{border-collapse:separate;border-spacing:0;font-size:.86rem;line-height:20px}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:6px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--card);vertical-align:bottom;white-space:nowrap}
th small{display:block;font-weight:400;color:var(--soft)}
.scroll table{min-width:100%}
.scroll tbody th{position:sticky;left:0;background:var(--paper);font-weight:500;min-width:9.5rem;overflow-wrap:anywhere}
.scroll thead th:first-child{position:sticky;left:0;z-index:1}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.yes{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
figure{margin:1.2rem 0;padding:.6rem;background:var(--card);border-radius:6px}
figure .scroll{border:0;border-radius:0}
figure svg{display:block;width:100%;min-width:40rem;height:auto}
figcaption{font-size:.88rem;color:var(--soft);padding-top:.4rem}
pre{overflow:auto;max-height:28rem;background:var(--card);padding:.7rem;border-radius:6px;font-size:.82rem}
details{margin:1rem 0}
summary{cursor:pointer;font-weight:600}
.versions td,.versions th{padding:.15rem .8rem .15rem 0;border:0;font-weight:400}
@media(max-width:40rem){th,td{padding:5px 7px}.scroll tbody th{min-width:7.5rem;max-width:8.5rem}
.scroll table{font-size:.8rem}thead th{white-space:normal}}
@media print{.scroll{overflow:visible}figure{break-inside:avoid}}
""".strip()
