"""What the authorizer is configured with."""

import pytest

from kafka_py.config.broker import BrokerConfig
from kafka_py.config.definition import ConfigError
from kafka_py.config.standalone import standalone_properties, with_settings

STANDARD = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"


def config(tmp_path, **settings):
    """A single node's configuration; in names _ stands for a dot."""
    given = {name.replace("_", "."): text for name, text in settings.items()}
    return BrokerConfig(with_settings(standalone_properties(str(tmp_path), port=0), given))


def test_none(tmp_path):
    assert config(tmp_path).authorizer is None
    given = config(tmp_path, super_users="User:a")
    assert given.authorizer is None
    assert "super.users" in given.unknown


def test_super_users_and_the_default(tmp_path):
    given = config(
        tmp_path,
        authorizer_class_name=STANDARD,
        super_users=" User:a;User:b,c ; ;",
        allow_everyone_if_no_acl_found="TRUE",
    )
    assert given.authorizer == ({"User:a", "User:b,c"}, True)
    assert not given.unknown
    assert config(tmp_path, authorizer_class_name=STANDARD).authorizer == (set(), False)


def test_what_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="principalType:principalName but got alice"):
        config(tmp_path, authorizer_class_name=STANDARD, super_users="alice")
    with pytest.raises(ConfigError, match="Java classes cannot be loaded"):
        config(tmp_path, authorizer_class_name="com.example.Mine")
