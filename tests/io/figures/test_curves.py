from PIL import Image

from lulc.io.figures.curves import draw_curves


def test_a_run_that_was_not_validated_is_drawn_without_scores(tmp_path):
    for name, history in (("none", []), ("losses", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}])):
        draw_curves(history, tmp_path / name, "run")
    sizes = {Image.open(tmp_path / name).size for name in ("none", "losses")}
    assert len(sizes) == 1
    assert (tmp_path / "none").read_bytes() != (tmp_path / "losses").read_bytes()
