"""What a recipe says about what people hold, carry and lean on."""

from __future__ import annotations

from pydantic import Field

from synthstudio.recipe.schema.distributions import Base
from synthstudio.recipe.schema.scene import Probability, Weights


class Hold(Base):
    """What people hold, carry, push or lean on. The hand decides where the thing is."""

    share: Probability = Field(
        default=0.0,
        description="How often somebody holds something: their arms then take a pose that does.",
    )
    kinds: Weights | None = Field(
        default=None,
        description="Built-in things that can be held and their weights; null: all alike.",
    )
    lean: Probability = Field(
        default=0.0,
        description="How often somebody leans on a counter, table or wall, which is put there.",
    )
