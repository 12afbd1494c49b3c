import pytest


@pytest.fixture
def params(tmp_path):
    """Writes a params.yaml and gives its path."""

    def write(text):
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return path

    return write
