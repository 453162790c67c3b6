def test_x(trained):
    print(sorted(p.name for p in trained.iterdir()))
