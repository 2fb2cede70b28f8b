import pytest

from sweeps.running.auth_token import keep_token_private


@pytest.fixture
def token(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_a_new_token_is_its_owners_alone(token):
    keep_token_private(make=False)
    assert not token.exists()
    keep_token_private(make=True)
    assert token.stat().st_mode & 0o777 == 0o600
    made = token.read_text()
    assert len(made) == 64
    keep_token_private(make=True)
    assert token.read_text() == made
    assert [file.name for file in token.parent.iterdir()] == ["auth_token"]


def test_a_token_that_ray_made_for_all_to_read_is_closed(token):
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    keep_token_private(make=False)
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text() == "secret"


def test_a_token_that_the_environment_names_is_left_alone(token, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    keep_token_private(make=True)
    assert not token.exists()
