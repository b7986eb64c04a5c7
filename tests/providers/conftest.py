"""The contract suites are in a module that pytest would not take for tests."""

import pytest

pytest.register_assert_rewrite(f"{__package__}.contracts")
