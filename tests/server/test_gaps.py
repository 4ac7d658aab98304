"""What is advertised and what is listed as missing make up Apache's table, and nothing more."""

import pytest

from kafka_py.server.dispatch import BROKER, CONTROLLER, advertised, load_handlers
from kafka_py.server.gaps import APACHE, gaps

#: What a first node leaves to coordinators, security and quotas. A name that works goes from here.
MISSING = {
    BROKER: """
        OFFSET_COMMIT OFFSET_FETCH JOIN_GROUP HEARTBEAT LEAVE_GROUP SYNC_GROUP DESCRIBE_GROUPS
        LIST_GROUPS SASL_HANDSHAKE ADD_PARTITIONS_TO_TXN ADD_OFFSETS_TO_TXN END_TXN
        WRITE_TXN_MARKERS TXN_OFFSET_COMMIT DESCRIBE_ACLS CREATE_ACLS DELETE_ACLS
        ALTER_REPLICA_LOG_DIRS SASL_AUTHENTICATE CREATE_DELEGATION_TOKEN RENEW_DELEGATION_TOKEN
        EXPIRE_DELEGATION_TOKEN DESCRIBE_DELEGATION_TOKEN DELETE_GROUPS OFFSET_DELETE
        DESCRIBE_CLIENT_QUOTAS ALTER_CLIENT_QUOTAS DESCRIBE_USER_SCRAM_CREDENTIALS
        ALTER_USER_SCRAM_CREDENTIALS DESCRIBE_TRANSACTIONS LIST_TRANSACTIONS
        CONSUMER_GROUP_HEARTBEAT CONSUMER_GROUP_DESCRIBE SHARE_GROUP_HEARTBEAT
        SHARE_GROUP_DESCRIBE SHARE_FETCH SHARE_ACKNOWLEDGE ADD_RAFT_VOTER REMOVE_RAFT_VOTER
        INITIALIZE_SHARE_GROUP_STATE READ_SHARE_GROUP_STATE WRITE_SHARE_GROUP_STATE
        DELETE_SHARE_GROUP_STATE READ_SHARE_GROUP_STATE_SUMMARY STREAMS_GROUP_HEARTBEAT
        STREAMS_GROUP_DESCRIBE DESCRIBE_SHARE_GROUP_OFFSETS ALTER_SHARE_GROUP_OFFSETS
        DELETE_SHARE_GROUP_OFFSETS
    """,
    CONTROLLER: """
        FETCH SASL_HANDSHAKE DESCRIBE_ACLS CREATE_ACLS DELETE_ACLS SASL_AUTHENTICATE
        CREATE_DELEGATION_TOKEN RENEW_DELEGATION_TOKEN EXPIRE_DELEGATION_TOKEN
        DESCRIBE_DELEGATION_TOKEN ALTER_CLIENT_QUOTAS DESCRIBE_USER_SCRAM_CREDENTIALS
        ALTER_USER_SCRAM_CREDENTIALS ENVELOPE ADD_RAFT_VOTER REMOVE_RAFT_VOTER
        UPDATE_RAFT_VOTER
    """,
}


@pytest.mark.parametrize("role", [BROKER, CONTROLLER])
def test_every_version_of_apaches_is_there_or_listed(role):
    load_handlers()
    here = {(key, v) for key, low, high in advertised(role) for v in range(low, high + 1)}
    listed = {(int(gap.key), v) for gap in gaps(role) for v in gap.missing}
    table = APACHE[role].items()
    wanted = {(int(key), v) for key, (low, high) in table for v in range(low, high + 1)}
    assert here | listed == wanted
    assert not here & listed


@pytest.mark.parametrize("role", [BROKER, CONTROLLER])
def test_no_version_is_advertised_that_apache_does_not_have(role):
    load_handlers()
    for key, low, high in advertised(role):
        lowest, highest = {int(k): v for k, v in APACHE[role].items()}[key]
        assert lowest <= low <= high <= highest, key


@pytest.mark.parametrize("role", [BROKER, CONTROLLER])
def test_the_gaps_are_those_that_are_known(role):
    assert {gap.key.name for gap in gaps(role)} == set(MISSING[role].split())
