"""`mdbench report` on run folders as a benchmark leaves them."""

import dataclasses
import hashlib
import json
import re
import shutil

import bibtexparser
import pytest
from mdbench_cli.main import run as command

from mdbench.errors import InputError
from mdbench.records import read_record, write_record
from mdbench.reporting import transport_sections
from mdbench.reporting.markup import file_anchor, text
from mdbench.reporting.references import REFERENCES
from mdbench.stages import report, report_results
from tests.reporting.test_html import Outline
from tests.stages.report_folder import (
    ABOUT,
    BROKEN,
    FAILED,
    FAITHFUL,
    MATERIAL,
    TRAINING,
    write_run_folder,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with its report."""
    folder = write_run_folder(tmp_path_factory.mktemp("made") / "mine")
    report.run([folder])
    return folder


@pytest.fixture(scope="module")
def page(made):
    return (made / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The same to be changed; pixels take long and are looked at in the first report only."""
    for module in (report, report_results, transport_sections):
        monkeypatch.setattr(module, "png", lambda figure: b"figure")
    monkeypatch.setattr(report, "save_all", lambda folder, figures: None)
    return shutil.copytree(made, tmp_path / "mine")


def text_of(*folders, output=None):
    summary = report.run(folders, output, force=True)
    return summary.output.read_text(encoding="utf-8")


def section_of(page, anchor):
    return page[page.index(f'<section id="{anchor}">') :].partition("</section>")[0] + "</section>"


def test_sections_are_in_the_order_of_the_brief(page):
    assert re.findall(r'<section id="([^"]*)"', page) == [
        *("summary", "models", "table-2", "figure-3", "figure-4", "supplement"),
        *("correlation", "survival", "results", "cost", "environment", "files", "glossary", "cite"),
    ]


def test_every_link_leads_somewhere(page):
    found = Outline(page)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    links = found.values("href")
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(ids)


def test_every_cited_number_leads_to_a_file_of_the_run_folder(made, page):
    cited = re.findall(r'<a class="cited" href="#([^"]*)" title="([^":]*): ([^"]*)">', page)
    assert len(cited) > 40
    files = section_of(page, "files")
    for anchor, name, key in set(cited):
        assert key
        assert anchor == file_anchor(name)
        digest = hashlib.sha256((made / name).read_bytes()).hexdigest()
        shown = f'id="{anchor}"><p><strong>{name}</strong> <code>{digest}</code>'
        assert shown in files


def test_the_summary_says_what_failed_and_where_the_log_is(page):
    words = Outline(section_of(page, "summary")).words
    for expected in (
        "Synthetic sample data: not a material.",
        "Benchmark mine: profile smoke, begun 2026-01-01 00:00 UTC, 1 of 2 tasks done.",
        "1 task did not come to an end",
        f"simulate broken failed refused & gone {FAILED.log}",
        f"{BROKEN} ✗ unstable",
        "exploded",
    ):
        assert expected in words
    assert words.index("refused & gone") < words.index(f"{BROKEN} ✗")
    assert words.count("refused") == 1


def test_cost_and_environment(page):
    cost = Outline(section_of(page, "cost")).words
    assert "train a CPU 1 90 s 3 min –" in cost
    about = Outline(section_of(page, "environment")).words
    for expected in ("profile smoke", "processor a processor", "training.budget 5s", "seed 3"):
        assert expected in about


def test_what_to_cite_follows_from_what_is_shown(made, page):
    cite = section_of(page, "cite")
    entries = bibtexparser.loads((made / "report/citations.bib").read_text("ascii")).entries
    keys = [entry["ID"] for entry in entries]
    assert keys[:2] == ["mdbench", "duangdangchote2024"]
    assert set(keys[2:]) == {
        *("bullerjahn2020", "he2018", "satterthwaite1946", "ong2013", "kenward1997"),
        *("kaplan1958", "fay2013", "holm1979", "zou2008"),
    }
    assert cite.count("<li>") == len(keys)
    for key in keys[1:]:
        assert text(REFERENCES[key].text) in cite


def test_failures_have_their_pictures(page):
    evidence = section_of(page, "survival")
    assert f"{BROKEN} on {MATERIAL} at 800 K: exploded" in Outline(evidence).words
    assert f"{FAITHFUL} on" not in evidence


def test_tables_and_figures_lie_beside_the_page(made, page):
    tables = {path.stem for path in (made / "report/tables").glob("*.csv")}
    assert {"summary", "table-2", "s3-rdf", "verdicts", "cost"} <= tables
    assert set(re.findall(r"tables/([a-z0-9-]+)\.csv", page)) <= tables
    figures = {path.name for path in (made / "report/figures").iterdir()}
    for name in re.findall(r"figures/([a-z0-9-]+)\.svg, \.pdf, \.png", page):
        assert {f"{name}.svg", f"{name}.pdf", f"{name}.png"} <= figures
    assert "figure-3.svg" in figures


def test_the_supplement_is_numbered_and_folded_up(page):
    supplement = section_of(page, "supplement")
    titles = re.findall("<details><summary><h3>(S[1-6]): ", supplement)
    assert titles == ["S3", "S4", "S5", "S6"]


def test_what_is_folded_up_says_what_came_out(page):
    folds = re.findall(r"<summary><h4>salt.*?</h4> <span>([^<]*)</span>", page)
    assert len(folds) == 3
    assert any(fold.startswith("unstable (exploded) at 800 K, 1000 K") for fold in folds)


def test_the_terminal_is_a_summary(folder, capsys):
    assert command(["report", str(folder)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{BROKEN}: {MATERIAL} unstable (exploded); not evaluated")
    assert f"missing: {FAILED.log}: simulate broken failed: refused & gone" in out
    assert out[-1] == f"page: {folder / 'report/index.html'}"
    assert command(["report", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_old_run_folders_have_no_records(folder):
    shutil.rmtree(folder / "jobs")
    (folder / "benchmark.json").unlink()
    found = re.findall(r'<section id="([^"]*)"', text_of(folder))
    assert "table-2" in found
    assert not {"cost", "environment"} & set(found)


def test_a_model_without_any_result_is_named(folder):
    shutil.rmtree(folder / "observables" / BROKEN)
    shutil.rmtree(folder / "observables" / FAITHFUL)
    words = Outline(section_of(text_of(folder), "summary")).words
    assert f"simulate {BROKEN} failed" in words


def test_a_run_of_which_nothing_came_is_a_page_of_failures(folder, capsys):
    shutil.rmtree(folder / "observables")
    (folder / TRAINING.file).unlink()
    record = dataclasses.replace(FAILED, stage="reference", name=MATERIAL, source=None)
    write_record(folder / record.file, record)
    words = Outline(section_of(text_of(folder), "summary")).words
    assert f"reference {MATERIAL} failed refused & gone" in words
    (folder / FAILED.file).unlink()
    assert "failed" in Outline(text_of(folder)).words


def test_tables_and_figures_of_others_are_kept(folder, tmp_path):
    for number, name in enumerate(("tables/verdicts.csv", "figures/figure-3.svg", "citations.bib")):
        output = tmp_path / str(number)
        (output / name).parent.mkdir(parents=True)
        (output / name).write_text("mine")
        with pytest.raises(InputError, match="output exists"):
            report.run([folder], output)
        assert (output / name).read_text() == "mine"
        assert not (output / "index.html").exists()


@pytest.mark.parametrize("content", ("{", "[]", "\ud800"))
def test_a_damaged_benchmark_file_is_one_line(folder, content):
    path = folder / "benchmark.json"
    path.write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(InputError, match=r"benchmark\.json: damaged"):
        report.run([folder])


def test_a_strange_benchmark_file_is_shown_as_it_is(folder):
    hostile = "<script>alert(1)</script>"
    about = {**ABOUT, "profile": hostile, "settings": [hostile], "environment": {hostile: hostile}}
    (folder / "benchmark.json").write_text(json.dumps(about))
    record = read_record(folder / FAILED.file)
    write_record(folder / FAILED.file, dataclasses.replace(record, message=hostile))
    text = text_of(folder)
    assert "<script" not in text
    assert Outline(text).words.count("alert(1)") >= 4


def test_several_runs_make_one_page(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "theirs")
    (other / FAILED.file).unlink()
    text = text_of(folder, other, output=tmp_path / "both")
    assert not (tmp_path / "both" / "jobs").exists()
    words = Outline(text).words
    for source in (BROKEN, FAITHFUL, "reference"):
        for name in ("mine", "theirs"):
            assert f"{source} ({name})" in words
    names = re.findall(r'class="cited" href="#[^"]*" title="([^":]*):', text)
    assert {name.partition("/")[0] for name in names} == {"mine", "theirs"}
    digest = hashlib.sha256((other / TRAINING.file).read_bytes()).hexdigest()
    assert f"<strong>theirs/{TRAINING.file}</strong> <code>{digest}</code>" in text
    found = Outline(text)
    assert {link[1:] for link in found.values("href")} <= set(found.values("id"))
    assert f"simulate broken failed refused & gone mine/{FAILED.log}" in words


def test_several_runs_need_an_output(folder, tmp_path, capsys):
    other = shutil.copytree(folder, tmp_path / "theirs")
    shutil.rmtree(other / "report")
    assert command(["report", str(folder), str(other)]) == 2
    assert "-o FOLDER" in capsys.readouterr().err
    assert not (other / "report").exists()


def test_other_settings_are_not_mixed(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "theirs")
    against = f"{other}/reference/*/*.h5"
    words = ["rdf", "--against", against, "--run", str(other), "--dr", "0.1", "--force", "--quiet"]
    assert command(words) == 0
    with pytest.raises(InputError, match="rdf dr is not the same"):
        report.run([folder, other], tmp_path / "both")
    assert not (tmp_path / "both").exists()
