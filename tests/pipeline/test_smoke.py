import time


def test_warm(warm_run, tiny_config, sample_set, tmp_path):
    c = tiny_config(sample_set, tmp_path / "run")
    t = time.time()
    r = warm_run(c, until="Transform")
    print(time.time() - t, r.ran, r.reused, r.started)
    t = time.time()
    r = warm_run(c)
    print(time.time() - t, r.ran, r.reused, r.started, r.outcome)
    t = time.time()
    r = warm_run(c)
    print(time.time() - t, r.ran, r.reused, r.started)
