"""UpdateFeatures: raise or lower the finalized levels of features (KIP-584, KIP-778, KIP-1022)."""

from __future__ import annotations

from typing import Any

from kafka_py.controller.result import Result, View
from kafka_py.metadata.features import (
    ELR_VERSION,
    KRAFT_VERSION,
    METADATA_CHANGED_AT,
    METADATA_VERSION,
    METADATA_VERSION_NAMES,
    SUPPORTED,
    required_levels,
)
from kafka_py.metadata.types import VersionRange
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.cluster import UpdateFeaturesRequest, UpdateFeaturesResponse
from kafka_py.protocol.errors import ApiError, ErrorCode

__all__ = ["update_features"]

_UPGRADE, _SAFE_DOWNGRADE, _UNSAFE_DOWNGRADE = 1, 2, 3
_DISABLED = VersionRange(0, 0)


def update_features(view: View, request: UpdateFeaturesRequest) -> Result:
    """All updates or none; the first error is the answer to all of them."""
    proposed = dict(view.image.features)
    for update in request.feature_updates:
        proposed[update.feature] = update.max_version_level
    records: list[Any] = []
    results = []
    first: ApiError | None = None
    for update in request.feature_updates:
        row = UpdateFeaturesResponse.UpdatableFeatureResult(
            feature=update.feature, error_message=ErrorCode.NONE.message
        )
        results.append(row)
        try:
            records += _update(view, update, proposed)
        except ApiError as error:
            first = first or error
    reply = UpdateFeaturesResponse(error_message=None)
    if first is not None:
        reply.error_code = first.code
        reply.error_message = (
            "The update failed for all features since the following feature had an error: "
            + first.message
        )
        records = []
    elif view.api_version < 2:
        reply.results = results
    return Result([] if request.validate_only else records, reply)


def _refused(feature: str, level: int, reason: str) -> ApiError:
    return ApiError(
        ErrorCode.INVALID_UPDATE_VERSION,
        f"Invalid update version {level} for feature {feature}. {reason}",
    )


def _update(view: View, update: Any, proposed: dict[str, int]) -> list[Any]:
    # Version 0 says allow_downgrade instead, which Kafka's controller does not look at.
    upgrade_type = update.upgrade_type
    feature, level = update.feature, update.max_version_level
    if upgrade_type not in (_UPGRADE, _SAFE_DOWNGRADE, _UNSAFE_DOWNGRADE):
        raise _refused(feature, level, "The controller does not support the given upgrade type.")
    current = view.image.features.get(feature, 0)
    if level < 0:
        raise _refused(feature, level, "A feature version cannot be less than 0.")
    reason = _not_supported(view, feature, level)
    if reason:
        raise _refused(feature, level, reason)
    if level < current and upgrade_type == _UPGRADE:
        raise _refused(
            feature,
            level,
            "Can't downgrade the version of this feature without setting the upgrade type to "
            "either safe or unsafe downgrade.",
        )
    if level > current and upgrade_type != _UPGRADE:
        raise _refused(feature, level, "Can't downgrade to a newer version.")
    if feature == METADATA_VERSION:
        _check_metadata_version(current, level, upgrade_type)
    for other, least in required_levels(feature, level).items():
        if proposed.get(other, 0) < least:
            raise _refused(
                feature,
                level,
                f"{feature} could not be set to {level} because it depends on {other} "
                f"level {least}",
            )
    records: list[Any] = [r.FeatureLevelRecord(name=feature, feature_level=level)]
    if feature == ELR_VERSION and level != current:
        records += _elr_records(view, level)
    return records


def _elr_records(view: View, level: int) -> list[Any]:
    """With ELR the cluster has a min.insync.replicas of its own, and brokers have none."""
    if level == 0:
        return [r.ClearElrRecord(topic_name="")]
    records: list[Any] = []
    name = "min.insync.replicas"
    if name not in view.image.broker_config(None):
        records.append(_config("", name, str(view.settings.min_insync_replicas)))
    for kind, resource in sorted(view.image.configs):
        if kind == 4 and resource and name in view.image.configs[(kind, resource)]:
            records.append(_config(resource, name, None))
    return records


def _config(resource: str, name: str, value: str | None) -> Any:
    return r.ConfigRecord(resource_type=4, resource_name=resource, name=name, value=value)


def _check_metadata_version(current: int, level: int, upgrade_type: int) -> None:
    if level not in METADATA_VERSION_NAMES:
        raise ApiError(
            ErrorCode.INVALID_UPDATE_VERSION,
            f"Invalid metadata.version {level}. Unknown metadata.version.",
        )
    if level >= current:
        return
    changed = any(level < at <= current for at in METADATA_CHANGED_AT)
    if not changed:
        return
    if upgrade_type == _UNSAFE_DOWNGRADE:
        reason = "Unsafe metadata downgrade is not supported in this version."
    else:
        reason = (
            "Refusing to perform the requested downgrade because it might delete metadata "
            "information."
        )
    raise ApiError(
        ErrorCode.INVALID_UPDATE_VERSION,
        f"Unsupported metadata.version downgrade from {current} to {level}. {reason}",
    )


def _not_supported(view: View, feature: str, level: int) -> str:
    """Who among controllers and brokers does not know that level; "" when all do."""
    own = SUPPORTED.get(feature, _DISABLED)
    reason = _outside(f"Local controller {view.node_id}", own, level)
    if reason:
        return reason
    if feature == KRAFT_VERSION:
        return ""
    for broker_id in sorted(view.image.brokers):
        supported = view.image.brokers[broker_id].features.get(feature, _DISABLED)
        reason = _outside(f"Broker {broker_id}", supported, level)
        if reason:
            return reason
    for node_id in sorted(view.image.controllers):
        if node_id != view.node_id:
            supported = view.image.controllers[node_id].features.get(feature, _DISABLED)
            reason = _outside(f"Controller {node_id}", supported, level)
            if reason:
                return reason
    for node_id in sorted(view.settings.voters):
        if node_id != view.node_id and node_id not in view.image.controllers:
            return f"controller {node_id} has not registered, and may not support this feature"
    return ""


def _outside(who: str, supported: VersionRange, level: int) -> str:
    if level in supported:
        return ""
    if supported == _DISABLED:
        return f"{who} does not support this feature."
    return f"{who} only supports versions {supported.min}-{supported.max}"
