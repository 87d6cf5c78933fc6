"""MLServer's scikit-learn runtime that takes its time: always, and more where the caller says `slow`."""

import asyncio
import os

from mlserver_sklearn import SKLearnModel

DELAY_SECONDS = float(os.environ.get("DELAY_SECONDS", "0"))


class SlowSKLearn(SKLearnModel):
    async def predict(self, payload):
        await asyncio.sleep(2 if payload.id == "slow" else DELAY_SECONDS)
        return await super().predict(payload)
