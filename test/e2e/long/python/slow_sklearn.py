"""MLServer's scikit-learn runtime, which takes its time where the caller's id says `slow`."""

import asyncio

from mlserver_sklearn import SKLearnModel


class SlowSKLearn(SKLearnModel):
    async def predict(self, payload):
        if payload.id == "slow":
            await asyncio.sleep(2)
        return await super().predict(payload)
