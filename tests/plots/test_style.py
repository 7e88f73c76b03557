import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import pytest
import seaborn
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from nash_dqn.artifacts import ArtifactError
from nash_dqn.plots.style import WIDTH_MM, drawing, log_scale, save, style, title_panels


def draw() -> Figure:
    """What figures are made of: error bars of seaborn's, a logarithmic axis, one legend."""
    with drawing(60) as figure:
        panels = figure.subplots(1, 2)
        table = {"beta": [0, 0, 1, 1, 1], "loss": [1.0, 3.0, 2.0, 4.0, 7.0]}
        for axes in panels:
            look = {"estimator": "median", "errorbar": ("pi", 100), "label": r"$\beta$"}
            seaborn.pointplot(table, x="beta", y="loss", ax=axes, legend=False, **look)
            log_scale(axes.yaxis)
        title_panels(panels, ["a title", "another"])
    return figure


def test_saving_again_also_in_threads_gives_the_same_bytes(tmp_path: Path) -> None:
    def saved(at: int) -> list[bytes]:
        paths = [tmp_path / f"{at}.pdf", tmp_path / f"{at}.png"]
        save(draw(), paths)
        return [path.read_bytes() for path in paths]

    alone = saved(0)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(saved, (1, 2))) == [alone] * 2


def test_another_process_writes_the_same_bytes_and_needs_no_display(tmp_path: Path) -> None:
    """Hash randomisation and a reader's own matplotlibrc must not show in the file."""
    save(draw(), [tmp_path / "f.pdf"])
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: red\n")
    code = (
        "import hashlib; from pathlib import Path; import matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "from test_style import draw, save\n"
        "import nash_dqn.plots.fig1_beta_sweep, nash_dqn.plots.fig2_policies\n"
        "import nash_dqn.plots.fig3_cross_play, nash_dqn.plots.training_curves\n"
        "save(draw(), ['g.pdf'])\n"
        "assert dict(matplotlib.rcParams) == before and before['font.size'] == 20\n"
        "print(hashlib.sha256(Path('g.pdf').read_bytes()).hexdigest())"
    )
    here = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    environment = {**here, "PYTHONHASHSEED": "4"}
    run = [sys.executable, "-c", code]
    answer = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [hashlib.sha256((tmp_path / "f.pdf").read_bytes()).hexdigest()]


def test_files_embed_fonts_are_sharp_enough_for_print_and_name_no_date_or_software(tmp_path: Path) -> None:
    save(draw(), [tmp_path / "f.pdf", tmp_path / "f.png"])
    pdf, png = (tmp_path / "f.pdf").read_bytes(), (tmp_path / "f.png").read_bytes()
    assert b"/FontFile2" in pdf and not any(wrong in pdf for wrong in (b"/Type3", b"Date"))
    width = int.from_bytes(png[16:20])  # the first chunk, IHDR, begins with the width
    assert width == int(WIDTH_MM / 25.4 * 300) and b"Software" not in png


def test_a_failing_save_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "f.pdf"
    kept.write_text("of an earlier run")
    original = Path.write_bytes

    def failing(self: Path, data: bytes) -> int:
        if self.suffix == ".png":
            raise OSError("disk full")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    figure = draw()
    with pytest.raises(ArtifactError, match=r"f\.png: cannot be written \(disk full\)"):
        save(figure, [kept, tmp_path / "f.png"])
    assert [path.name for path in tmp_path.iterdir()] == ["f.pdf"]
    assert kept.read_text() == "of an earlier run"
    assert not figure.axes


def test_a_disk_that_fills_up_is_one_line(tmp_path: Path) -> None:
    """Left to itself, matplotlib's PDF writer ends with an error of zlib's."""
    path = tmp_path / "f.pdf"
    program = (
        "import resource, sys; from matplotlib.figure import Figure; from nash_dqn.plots.style import save;"
        "figure = Figure(); figure.subplots();"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "save(figure, [sys.argv[1]])"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    expected = f"nash_dqn.artifacts.ArtifactError: {path}: cannot be written (File too large)"
    assert run.stderr.splitlines()[-1].startswith(expected)
    assert not list(tmp_path.iterdir())


def test_other_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"f\.svg: a figure can be saved as .pdf or .png, not '.svg'"):
        save(draw(), [tmp_path / "f.pdf", tmp_path / "f.svg"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no path"):
        save(draw(), [])


def test_style_ends_with_its_block_even_after_an_error() -> None:
    before = dict(matplotlib.rcParams)
    with pytest.raises(KeyError), style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        raise KeyError
    assert dict(matplotlib.rcParams) == before


def test_one_legend_has_each_label_once() -> None:
    assert [text.get_text() for text in draw().legends[0].get_texts()] == [r"$\beta$"]


def test_fonts_come_with_matplotlib() -> None:
    """No font of the system is needed, so none can be missing: text falls back to nothing."""
    with style():
        for weight in ("normal", "bold"):
            font = FontProperties(family=matplotlib.rcParams["font.sans-serif"], weight=weight)
            assert matplotlib.rcParams["font.family"] == ["sans-serif"]
            path = Path(font_manager.findfont(font, fallback_to_default=False))
            assert path.is_relative_to(matplotlib.get_data_path())
