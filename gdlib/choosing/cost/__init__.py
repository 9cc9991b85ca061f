"""What training a large transformer costs: compute, memory, traffic, time and money.

One model for the whole book: chapters 1, 4.4, 4.5 and 7.1 and the calculator read it, and the tests hold it against what torch
allocates and sends when `gdlib.Trainer` trains a GPT. Each function says what it leaves out.
"""

from gdlib.choosing.cost.compute import (
    HARDWARE,
    LOW_RANK,
    REMEDIES,
    Hardware,
    devices_needed,
    training_days,
    training_flops,
    utilization,
)
from gdlib.choosing.cost.memory import (
    ATTENTIONS,
    PRECISIONS,
    STATE_BYTES,
    VOCABULARY,
    Shape,
    activation_memory,
    shape_of,
    training_memory,
    working_weights,
)
from gdlib.choosing.cost.peak import step_memory
from gdlib.choosing.cost.planning import PROPORTION, ROOM, SEQUENCES, Plan, gpt2_shape, plan
from gdlib.choosing.cost.traffic import LINKS, WAYS, bubble, network_share, traffic

__all__ = [
    "ATTENTIONS",
    "HARDWARE",
    "LINKS",
    "LOW_RANK",
    "PRECISIONS",
    "PROPORTION",
    "REMEDIES",
    "ROOM",
    "SEQUENCES",
    "STATE_BYTES",
    "VOCABULARY",
    "WAYS",
    "Hardware",
    "Plan",
    "Shape",
    "activation_memory",
    "bubble",
    "devices_needed",
    "gpt2_shape",
    "network_share",
    "plan",
    "shape_of",
    "step_memory",
    "traffic",
    "training_days",
    "training_flops",
    "training_memory",
    "utilization",
    "working_weights",
]
