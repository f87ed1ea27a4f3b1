"""Matching: the gallery of enrolled people, evidence over a bout, open-set decisions, templates for enrolment. numpy only."""

from models.matching.enrolment import EnrolmentResult, NewTemplate, already_enrolled, build_templates
from models.matching.evidence import EVIDENCE_WINDOWS, combine
from models.matching.gallery import Gallery
from models.matching.matches import Matches
from models.matching.policy import DecisionPolicy, Decisions, Verdicts
from models.matching.site import SiteImpostors, adapt_impostors
from models.matching.vectors import SpaceMismatch

__all__ = [
    "EVIDENCE_WINDOWS",
    "DecisionPolicy",
    "Decisions",
    "EnrolmentResult",
    "Gallery",
    "Matches",
    "NewTemplate",
    "SiteImpostors",
    "SpaceMismatch",
    "Verdicts",
    "adapt_impostors",
    "already_enrolled",
    "build_templates",
    "combine",
]
