#!/usr/bin/env python3
"""Checks `federate report`: pages of a run, a comparison, an older run and a spectrum, and what is refused.

    report.py FEDERATE ROOT              the pages as text
    report.py FEDERATE ROOT --browser    the same pages in a headless Chromium; exits 77 where there is none
"""
import csv
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

SMALL = """
seed = 1
[data]
name = "digits"
[partition]
kind = "dirichlet"
[model]
name = "mlp"
[lowrank]
rank = 2
[algorithm]
tau = 2
[federation]
clients = 6
cohort = 3
rounds = 5
[client]
epochs = 1
"""
ROUNDS = 5
AWKWARD = """<b>&"it's" ]]>"""  # a folder's name
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br", "hr", "img", "input", "link"}
SPECTRUM = ("round,who,client,samples,operator,layer,norm,norm_residual,frobenius2,frobenius2_error,trace,stable_rank,"
            "stable_rank_error,effective_rank,entropy_rank,outliers,gradients").split(",")
DENSITY = "round,who,client,samples,operator,layer,eigenvalue,weight".split(",")


class Page(HTMLParser):
    """A page whose elements are all closed, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.text, self.open, self.mistakes = text, [], []
        self.elements, self.headings, self.ids = [], [], []
        self.feed(text)
        self.close()
        if self.open:
            self.mistakes.append(f"not closed: {self.open}")
        self.figures = [xml.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"line {self.getpos()[0]}: </{tag}>")

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)

    def figure(self, title):
        found = [f for f in self.figures if f.find(SVG + "title").text == title]
        assert len(found) == 1, f"expected one figure '{title}', got {[f.find(SVG + 'title').text for f in self.figures]}"
        return found[0]


def points(figure):
    """The number of points of each line."""
    return [len(line.get("points").split()) for line in figure.iter(SVG + "polyline")]


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)


def check_page(path):
    """What every page has to be. Returns it."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.mistakes, page.mistakes
    assert len(set(page.ids)) == len(page.ids), "ids twice"
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object"}, tags
    outside = [value for _, attributes in page.elements for key, value in attributes.items()
               if key in ("src", "href") and not value.startswith(("#", "./"))]
    assert not outside and "url(" not in text and "@import" not in text, outside
    assert re.findall(r"https?://[^\"']*", text) == ["http://www.w3.org/2000/svg"] * len(page.figures)
    page.links = [(path.parent / unquote(attributes["href"])).resolve() for tag, attributes in page.elements
                  if tag == "a" and attributes["href"].startswith("./")]
    assert all(link.exists() for link in page.links), page.links
    assert page.figures and text.count("<svg") == len(page.figures)
    assert "nan" not in re.sub(r"<(title|desc|text)\b.*?</\1>|<pre>.*?</pre>", "", text.lower(), flags=re.S)
    for figure in page.figures:
        assert figure.get("role") == "img" and figure.get("viewBox"), figure.attrib
        labels = figure.get("aria-labelledby").split()
        named = [e for e in figure if e.get("id") in labels]
        assert [e.tag for e in named] == [SVG + "title", SVG + "desc"], labels
        assert all(e.text and e.text.strip() for e in named), [e.text for e in named]
    return page


class Folder:
    """Runs to report of, made once."""

    def __init__(self, federate, root, path):
        self.federate, self.root, self.path = federate, root, path
        small = path / "fedloru.toml"
        small.write_text(SMALL, encoding="utf-8")
        (path / "fedavg.toml").write_text(SMALL.replace("tau = 2", 'name = "fedavg"'), encoding="utf-8")
        self.must("--compare", small, path / "fedavg.toml", "--seeds", "1,2", "--out", path / "compare", "--quiet")
        self.run = path / "compare" / "fedloru" / "seed-1"
        shutil.copytree(self.run, path / AWKWARD)
        (path / "spectrum").mkdir()
        write_spectrum(path / "spectrum")

    def must(self, *arguments):
        result = run(self.federate, *arguments)
        assert result.returncode == 0, result.stderr
        return result

    def report(self, *folders):
        out = self.path / "page.html"
        self.must("report", *folders, "--out", out)
        return check_page(out)

    def refused(self, *arguments):
        result = run(self.federate, "report", *arguments)
        assert result.returncode == 2, (arguments, result)
        assert result.stderr.startswith("federate: ") and result.stderr.count("\n") == 1, result.stderr
        assert result.stdout == "", result.stdout
        return result.stderr


def write_spectrum(folder):
    with open(folder / "spectrum.csv", "w", encoding="utf-8", newline="") as spectrum, \
            open(folder / "density.csv", "w", encoding="utf-8", newline="") as density:
        rows, nodes = csv.writer(spectrum, lineterminator="\n"), csv.writer(density, lineterminator="\n")
        rows.writerow(SPECTRUM)
        nodes.writerow(DENSITY)
        for round_ in (0, 5):
            for who, client, samples in [("server", "", 1200)] + [("client", k, n) for k in range(3) for n in (5, 50)]:
                for layer in ("", "fc1", "fc2"):
                    rank = 9.0 - 8.0 / math.sqrt(samples) + 0.1 * (client or 0)
                    rows.writerow([round_, who, client, samples, "hessian", layer, 2.5, 1e-4, 60.0, 0.3, 20.0, rank, 0.02,
                                   7.0, 12.0, 9, 480])
                for value, weight in ((-0.02, 0.3), (0.0, 0.5), (0.3, 0.19), (2.5, 0.01)):
                    nodes.writerow([round_, who, client, samples, "hessian", "", value, weight])


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def check_run(folder):
    page = folder.report(folder.run)
    for title in ("Accuracy by round", "Accuracy by uplink"):
        assert points(page.figure(title)) == [ROUNDS], title
        assert len(page.figure(title).findall(f".//{SVG}path[@class='mark']")) == 2  # merges after rounds 2 and 4
    assert points(page.figure("Loss by round")) == [ROUNDS, ROUNDS]  # test and training
    written = summary(folder.run)
    assert written["merge_rounds"] == [2, 4]
    told = page.figure("Accuracy by round").find(SVG + "desc").text
    assert f"{100 * written['final_test_accuracy']:.2f}".rstrip("0").rstrip(".") + " % after round 5" in told, told
    ranks = page.figure("Rank of the accumulated update by layer").find(SVG + "desc").text
    assert all(f"{layer} {rank}" in ranks for layer, rank in written["update_rank"].items()), ranks
    cells = page.figure("Label shares of the clients").findall(f".//{SVG}rect")
    with open(folder.run / "clients.csv", encoding="utf-8") as file:
        clients = list(csv.DictReader(file))
    assert len(cells) == sum(int(v) > 0 for c in clients for k, v in c.items() if k.startswith("label_"))
    assert page.figure("Accuracy on each client's own classes") is not None
    text = page.text
    assert written["loru_version"] in text and (folder.run / "config.toml").read_text()[:40] in text
    assert written["machine"]["cpu"] in text


def check_default_place(folder):
    result = folder.must("report", folder.run)
    path = folder.run / "report.html"
    assert result.stdout.strip().endswith(str(path)), result.stdout
    first = path.read_bytes()
    folder.must("report", folder.run)
    assert path.read_bytes() == first
    path.unlink()


def check_comparison(folder):
    page = folder.report(folder.path / "compare")
    for title in ("Test accuracy by round", "Test accuracy by uplink", "Test loss by round", "Test loss by uplink"):
        figure = page.figure(title)
        assert points(figure) == [ROUNDS, ROUNDS], title
        bands = figure.findall(f".//{SVG}polygon")
        assert [len(b.get("points").split()) for b in bands] == [2 * ROUNDS] * 2, title
    accuracies = [summary(folder.path / "compare" / "fedavg" / f"seed-{s}")["final_test_accuracy"] for s in (1, 2)]
    mean, deviation = 50 * sum(accuracies), 100 * abs(accuracies[0] - accuracies[1]) / math.sqrt(2)
    assert f">{mean:.2f} ± {deviation:.2f}<" in page.text, (mean, deviation)
    assert page.headings[0] == "Comparison of 2 configurations"
    assert "algorithm.name" in page.text and "<td>fedavg</td>" in page.text  # a key that differs

    # The table of runs leads to each run's folder.
    runs = [(folder.path / "compare" / name / f"seed-{s}").resolve() for name in ("fedloru", "fedavg") for s in (1, 2)]
    assert page.links == runs, page.links

    # Seeds of one configuration, given one by one, are one line; another configuration is another one.
    seeds = [folder.path / "compare" / "fedloru" / f"seed-{s}" for s in (1, 2)]
    page = folder.report(*seeds)
    assert points(page.figure("Accuracy by round")) == [ROUNDS]
    page = folder.report(*seeds, folder.path / "compare" / "fedavg" / "seed-1")
    assert points(page.figure("Test accuracy by round")) == [ROUNDS, ROUNDS]


def check_names(folder):
    page = folder.report(folder.path / AWKWARD, folder.path / "compare" / "fedavg" / "seed-1")
    legend = [text.text for text in page.figure("Test accuracy by round").iter(SVG + "text")]
    assert AWKWARD in legend, legend
    assert ("b", {}) not in page.elements
    assert page.links[0] == (folder.path / AWKWARD).resolve(), page.links
    page = folder.report(folder.path / AWKWARD)
    assert "".join(page.headings).startswith(AWKWARD), page.headings


def check_older_run(folder):
    """A run of before clients.csv, merge_rounds and machine."""
    page = folder.report(Path(folder.root) / "tests/golden/run_7684c20")
    assert points(page.figure("Accuracy by round")) == [2]
    assert "Clients" not in page.headings


def check_other_tasks(folder):
    made = run(sys.executable, Path(folder.root) / "examples/data/digits_targets.py", folder.path / "data")
    assert made.returncode == 0, made.stderr
    out = folder.path / "regression"
    folder.must(Path(folder.root) / "examples/federations/own_data/digits_ink.toml", "--out", out, "--quiet",
                "--data-dir", folder.path / "data", "--set", "federation.rounds=3", "--set", "federation.eval_every=2")
    page = folder.report(out)
    assert points(page.figure("MAE by round")) == [2]  # rounds 2 and 3
    assert points(page.figure("Loss by round")) == [2, 3]


def check_sweep(folder):
    out = folder.path / "sweep"
    folder.must(folder.path / "fedloru.toml", "--set", "data.validation=0.1", "--set", "federation.rounds=2",
                "--sweep", "optimizer.learning_rate=0.02,0.05,0.1", "--sweep", "algorithm.tau=1,2", "--seeds", "1,2",
                "--out", out, "--quiet")
    page = folder.report(out)
    assert page.headings[0] == "Sweep of 6 configurations", page.headings
    with open(out / "sweep.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    for kind in ("Validation", "Test"):
        figure = page.figure(f"{kind} accuracy at the end by optimizer.learning_rate")
        assert points(figure) == [3, 3]  # a line for each tau
        legend = [text.text for text in figure.iter(SVG + "text")]
        assert "algorithm.tau=1" in legend and "algorithm.tau=2" in legend, legend
        told = figure.find(SVG + "desc").text
        for row in table:
            name = f"optimizer.learning_rate={row['optimizer.learning_rate']},algorithm.tau={row['algorithm.tau']}"
            percent = f"{100 * float(row[kind.lower() + '_accuracy']):.2f}".rstrip("0").rstrip(".")
            assert f"{name}: {percent} %" in told, (name, percent, told)
    assert points(page.figure("Validation accuracy by round")) == [2] * 6
    diverged = folder.path / "diverged"  # one point of two, and it is in no line
    result = run(folder.federate, folder.path / "fedloru.toml", "--set", "federation.rounds=1", "--sweep",
                 "optimizer.learning_rate=0.05,1e30", "--out", diverged, "--quiet")
    assert result.returncode in (0, 1), result
    page = folder.report(diverged)
    assert points(page.figure("Test accuracy at the end by optimizer.learning_rate")) == [1]
    assert "1 (1 left out)" in page.text and "ended after round 0 of 1" in page.text
    both = folder.path / "algorithms"  # with keys of their own, which are not what was swept
    folder.must(folder.path / "fedloru.toml", "--set", "federation.rounds=1", "--sweep", "optimizer.learning_rate=0.02,0.05",
                "--sweep", "algorithm.name=fedloru,fedmud", "--out", both, "--quiet")
    figure = folder.report(both).figure("Test accuracy at the end by optimizer.learning_rate")
    assert points(figure) == [2, 2]
    legend = [text.text for text in figure.iter(SVG + "text") if "=" in text.text]
    assert legend == ["algorithm.name=fedloru", "algorithm.name=fedmud"], legend
    many = folder.path / "many"  # nine lines, one more than a figure can tell apart
    folder.must(folder.path / "fedloru.toml", "--set", "federation.rounds=1", "--set", "optimizer.learning_rate=0.02",
                "--sweep", "lowrank.rank=1,2,3,4", "--sweep", "client.batch=16,32,64", "--sweep",
                "optimizer.momentum=0.0,0.5,0.9", "--out", many, "--quiet")
    page = folder.report(many)
    lines = points(page.figure("Test accuracy at the end by lowrank.rank"))
    assert 1 <= len(lines) <= 8 and set(lines) == {4}, lines
    assert "Drawn are the lines of the best configurations" in page.text
    words = folder.path / "words"
    folder.must(folder.path / "fedloru.toml", "--set", "federation.rounds=1", "--sweep",
                "optimizer.name=sgd,adam", "--out", words, "--quiet")
    bars = folder.report(words).figure("Test accuracy at the end by choice")
    assert len(bars.findall(f".//{SVG}rect")) == 2


def check_spectrum(folder):
    page = folder.report(folder.path / "spectrum")
    for round_ in (0, 5):
        figure = page.figure(f"Stable rank, Hessian, round {round_}")
        assert points(figure) == [2]  # the clients' mean at 5 and 50 samples
        errors = figure.findall(f".//{SVG}path[@class='error']")
        assert [e.get("d").count("M") for e in errors] == [6, 1]  # clients, server
        assert "Server, 1200 samples: stable rank 8.769 ± 0.02." in figure.find(SVG + "desc").text
        assert len(points(page.figure(f"Density of eigenvalues, Hessian, round {round_}"))) == 2
    assert len(folder.report(folder.run, folder.path / "spectrum").figures) > len(page.figures)


def check_errors(folder):
    other = folder.path / "other"
    folder.must(folder.path / "fedloru.toml", "--set", "federation.rounds=1", "--set", "partition.kind=iid", "--quiet",
                "--out", other)
    error = folder.refused(folder.run, other, "--out", folder.path / "x.html")
    assert "partition.kind: expected 'dirichlet' as in" in error and "got 'iid'" in error, error
    assert not (folder.path / "x.html").exists()
    assert "expected the folder of a run" in folder.refused(folder.path)
    assert "expected the folder of a run" in folder.refused(folder.path / "nowhere")
    assert "RUN" in folder.refused()
    assert "nowhere" in folder.refused(folder.run, "--out", folder.path / "nowhere" / "x.html")

    def broken(name, change):
        copy = folder.path / "broken"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder.run, copy)
        text = (copy / name).read_text(encoding="utf-8")
        (copy / name).write_text(change(text), encoding="utf-8")
        error = folder.refused(copy)
        assert str(copy / name) in error, error
        return error

    def field(text, line, value):
        lines = text.splitlines()
        lines[line - 1] = ",".join([value] + lines[line - 1].split(",")[1:])
        return "\n".join(lines) + "\n"

    assert "line 4" in broken("rounds.csv", lambda t: field(t, 4, "1,2"))
    assert "line 3, column 'round': expected a number, got 'two'" in broken("rounds.csv", lambda t: field(t, 3, "two"))
    assert "line 2" in broken("clients.csv", lambda t: field(t, 2, "1,2"))
    assert "expected a run's summary" in broken("summary.json", lambda t: t[:40])
    assert "'rounds'" in broken("summary.json", lambda t: t.replace('"rounds"', '"runds"'))
    assert "unknown key" in broken("config.toml", lambda t: "nonsense = 1\n" + t)
    spectrum = folder.path / "spectrum" / "spectrum.csv"
    text = spectrum.read_text(encoding="utf-8")
    spectrum.write_text(text.replace("server", "sorcerer", 1), encoding="utf-8")
    assert "line 2, column 'who': expected server or client, got 'sorcerer'" in folder.refused(spectrum.parent)
    spectrum.write_text(text, encoding="utf-8")


# ---- in a browser ----

# Finds what a reader would see as a fault, and writes it into the page. A window has 500 pixels at least, so that the
# page itself is made narrower.
LOOK = """<script>
const faults = [];
document.documentElement.style.width = 'WIDTHpx';
if (document.documentElement.scrollWidth > Math.max(WIDTH, innerWidth) || document.body.scrollWidth > WIDTH)
  faults.push('the page is wider than the window');
for (const svg of document.querySelectorAll('svg')) {
  const title = svg.querySelector('title').textContent, outer = svg.getBoundingClientRect();
  if (outer.width < 200 || outer.height < 60) faults.push(title + ': not drawn');
  const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  for (const [words, r] of texts)
    if (r.left < outer.left - 1 || r.right > outer.right + 1 || r.top < outer.top - 1 || r.bottom > outer.bottom + 1)
      faults.push(title + ': clipped: ' + words);
  texts.forEach(([a, r], i) => texts.slice(i + 1).forEach(([b, s]) => {
    const wide = Math.min(r.right, s.right) - Math.max(r.left, s.left);
    const high = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
    if (wide > 1 && high > 0.35 * r.height) faults.push(title + ': overlap: ' + a + ' / ' + b);
  }));
  for (const line of svg.querySelectorAll('polyline'))
    if (!(line.getTotalLength() > 0)) faults.push(title + ': a line of no length');
}
document.body.dataset.faults = JSON.stringify([document.querySelectorAll('svg').length, faults]);
</script>"""


def browse(browser, folder, page, width):
    copy = folder.path / "look.html"
    copy.write_text(page.text.replace("</body>", LOOK.replace("WIDTH", str(width)) + "</body>"), encoding="utf-8")
    base = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={folder.path / 'profile'}", f"--window-size={width},2400"]
    seen = run(*base, "--dump-dom", copy.as_uri())
    found = re.search(r'data-faults="([^"]*)"', seen.stdout)
    assert found, seen.stderr
    figures, faults = json.loads(found[1].replace("&quot;", '"').replace("&lt;", "<").replace("&amp;", "&"))
    assert "CONSOLE" not in seen.stderr, seen.stderr
    assert figures == len(page.figures), figures
    assert not faults, faults
    picture = folder.path / "page.png"
    picture.unlink(missing_ok=True)
    run(*base, f"--screenshot={picture}", (folder.path / "page.html").as_uri())
    assert picture.stat().st_size > 10_000


def check_browser(folder, browser):
    check_sweep(folder)
    for folders in ([folder.run], [folder.path / "compare"], [folder.path / "sweep"], [folder.path / "spectrum"]):
        page = folder.report(*folders)
        for width in (400, 1200):
            browse(browser, folder, page, width)


def main():
    federate, root, *more = sys.argv[1:]
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if more and not browser:
        print("skipped: Chromium is not installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="loru-report-") as path:
        folder = Folder(federate, root, Path(path))
        if more:
            check_browser(folder, browser)
            return 0
        for check in (check_run, check_default_place, check_comparison, check_names, check_older_run, check_other_tasks,
                      check_sweep, check_spectrum, check_errors):
            check(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
