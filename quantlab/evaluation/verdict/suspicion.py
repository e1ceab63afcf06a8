"""Results that are too good to be honest."""

from __future__ import annotations

from quantlab.core.results import MemberReport

#: Directional AUC that no honest member has reached out of sample on five-minute bars of real markets.
SUSPICIOUS_AUC = 0.57


def auc_exceeds(member: MemberReport, bound: float) -> bool:
    """Return whether a member's directional AUC lies above `bound` by more than two of its standard errors.

    Parameters
    ----------
    member : MemberReport
    bound : float
        :data:`SUSPICIOUS_AUC` on a real market; on a synthetic one what its own truth reaches.
    """
    return member.auc is not None and member.auc_se is not None and member.auc - 2.0 * member.auc_se > bound
