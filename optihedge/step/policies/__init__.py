"""When to act: `oh.policy.Band("delta", 2e4)`, or from a TOML table by `oh.policy.policy_of`."""

from optihedge.step.policies.bands import CostBenefit, WhalleyWilmott
from optihedge.step.policies.base import Decision, Policy, View
from optihedge.step.policies.compose import All, Any, Not
from optihedge.step.policies.policyfile import POLICIES, policy_of
from optihedge.step.policies.triggers import (
    Always,
    Band,
    Clock,
    MarginTrigger,
    OnFill,
    RegimeChange,
    RiskTrigger,
    RollDue,
)

__all__ = [
    "POLICIES", "All", "Always", "Any", "Band", "Clock", "CostBenefit", "Decision", "MarginTrigger", "Not", "OnFill",
    "Policy", "RegimeChange", "RiskTrigger", "RollDue", "View", "WhalleyWilmott", "policy_of",
]  # fmt: skip
