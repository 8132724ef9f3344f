"""Files appear whole or not at all."""

import pytest

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file
from cryingan.storage.hashes import file_hash
from tests.support.structure_files import contents


def test_replace_file_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "last.ckpt"
    with replace_file(path) as file:
        file.write(b"first")
        assert not path.exists()
    (tmp_path / "last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(CryinGANError, match="No space left on device"), replace_file(path) as file:
        file.write(b"second")
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"third" * (1 // 0))
    assert contents(tmp_path) == {"last.ckpt": b"first"}
    assert file_hash(path) == "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"
    with pytest.raises(CryinGANError, match=r"none\.ckpt cannot be read"):
        file_hash(tmp_path / "none.ckpt")
