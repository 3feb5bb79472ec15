"""Tables of made-up times, and that compiles are counted; no clock."""

from __future__ import annotations

from benchmarks import scaling, startup


def test_rows_give_times_and_what_they_are_of_the_first(capsys):
    scaling.print_rows("layer", [[2e-6, 1e-6], None, [3e-6, 1e-6]], 1e6)
    call, plan = capsys.readouterr().out.splitlines()
    assert call.split() == ["layer", "2", "(1.00)", "-", "3", "(1.50)"]
    assert plan.endswith("1 (1.00)")
    assert len(call) == len(plan)


def test_compiles_after_the_first_length_are_counted(capsys, monkeypatch):
    loaded = iter([0, 2, 2, 2, 2, 3])
    monkeypatch.setattr(scaling, "kernels_loaded", lambda: next(loaded))
    monkeypatch.setattr(scaling, "LENGTH_LAYERS", [((1, 1, 3), {"padding": 1})])
    assert scaling.print_lengths((50, 60, 70)) == 1
    assert "Conv1d(1, 1, 3, padding=1)" in capsys.readouterr().out


def test_the_plan_into_memory_computes_what_the_module_does(monkeypatch):
    taken = []

    def sample(call, _):
        taken.append(call())
        return [1.0]

    monkeypatch.setattr(scaling, "sample_seconds", sample)
    import convforge

    with convforge.no_grad():
        scaling.shortest((2, 4, 3), {"padding": 1, "groups": 2}, (3, 2, 9, 8), 0.0)
    assert (taken[0].numpy() == taken[1]).all()


def test_large_images_are_left_out(capsys, monkeypatch):
    monkeypatch.setattr(scaling, "shortest", lambda *_: [1.0, 1.0])
    scaling.print_sides((512, 1024), 20e6, 0.0)
    first = capsys.readouterr().out.splitlines()[3]
    assert first.split()[-1] == "-"


def test_the_compilers_files_are_found_and_dropped():
    files = startup.compiler_files()
    assert any("llvmlite" in path.name and path.stat().st_size > 1e6 for path in files)
    if hasattr(startup.os, "posix_fadvise"):
        startup.drop_from_page_cache(files[:3])
