"""Lines on progress come now and then, not all at once."""

from __future__ import annotations

from nanobragg_kokkos.util import progress


def test_lines_have_some_seconds_between_them(monkeypatch, capsys):
    times = iter((0.0, 1.0, 5.0, 6.0, 9.9, 10.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    say = progress.now_and_then()
    for number in range(1, 6):
        say(f"line {number}")
    assert capsys.readouterr().out == "line 2\nline 5\n"
