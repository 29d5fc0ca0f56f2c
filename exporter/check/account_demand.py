"""Compare the requests that an account needs with its rate limit."""

from collections.abc import Mapping

from exporter.check.results import CheckResult, Outcome, RequestRange, build_demand_subject
from exporter.polling.demand import DEMAND_ADVICE, HIGH_DEMAND_RATIO, HOUR
from exporter.polling.targets import Target


def build_demand_result(
    account: str,
    needed: Mapping[Target, RequestRange | None],
    requests_per_second: float | None,
    *,
    is_part: bool = False,
) -> CheckResult | None:
    """Build the result for the requests per hour that an account needs.

    ``needed`` has the requests of one poll of each target, None if they are unknown. ``is_part``
    says that the account has other targets, too. Return None if nothing is known of any target.
    """
    known = {target: requests for target, requests in needed.items() if requests is not None}
    if not known:
        return None
    low = sum(requests.low * HOUR / target.interval for target, requests in known.items())
    high: float | None = 0.0
    for target, requests in needed.items():
        if requests is None or requests.high is None or high is None:
            high = None
        else:
            high += requests.high * HOUR / target.interval
    allowed = None if requests_per_second is None else requests_per_second * HOUR
    facts = {
        "requests_per_hour_min": round(low, 3),
        "requests_per_hour_max": None if high is None else round(high, 3),
        "requests_per_hour_allowed": allowed,
    }
    parts = [_describe_need(low, high, allowed)]
    if high == low and len(known) > 1:
        target = max(known, key=lambda target: known[target].low / target.interval)
        alone = known[target].low * HOUR / target.interval
        parts.append(f"{str(target).removeprefix(f'{account} ')} alone {_format_number(alone)}")
    if any(requests.high is None for requests in known.values()):
        parts.append("use --full to count them")
    if any(requests is None for requests in needed.values()):
        parts.append("what failed is not counted")
    detail = f"{'what was tried ' if is_part else ''}needs {'; '.join(parts)}"
    if allowed is not None and low > HIGH_DEMAND_RATIO * allowed:
        return CheckResult(
            build_demand_subject(account), Outcome.WARN, detail, DEMAND_ADVICE, facts=facts
        )
    return CheckResult(build_demand_subject(account), Outcome.OK, detail, facts=facts)


def _describe_need(low: float, high: float | None, allowed: float | None) -> str:
    if high is None:
        need = f"at least {_name_requests(low)}"
    elif low == high:
        need = f"about {_name_requests(low)}"
    else:
        need = f"{_format_number(low)} to {_format_number(high)} requests an hour (estimate)"
    return (
        f"{need}, without a limit"
        if allowed is None
        else f"{need} of {_format_number(allowed)} allowed"
    )


def _name_requests(requests: float) -> str:
    number = _format_number(requests)
    return f"{number} request an hour" if number == "1" else f"{number} requests an hour"


def _format_number(requests: float) -> str:
    """Return a number of requests an hour; a target that is polled once a day needs a part."""
    return f"{requests:,.0f}" if requests >= 10 else f"{requests:,.2g}"  # noqa: PLR2004 - below, a digit matters
