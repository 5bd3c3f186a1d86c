"""What the tests of trainings share."""

from contextlib import contextmanager

import pytest

from sorter.train.callbacks import Curves


@pytest.fixture
def stopped_in_its_third_epoch(monkeypatch):
    """Called with the module that trains: epochs of three steps, a checkpoint after each; a context in which it is stopped."""
    end = Curves.on_train_epoch_end

    def of(module):
        monkeypatch.setattr(module, "_STEPS_PER_EPOCH", 3)
        monkeypatch.setattr(module, "_CHECKPOINT_EVERY_S", 0.0)
        return stopped()

    @contextmanager
    def stopped():
        epochs = 0

        def stop(self, trainer, module):
            nonlocal epochs
            epochs += 1
            if epochs == 3:
                raise KeyboardInterrupt
            end(self, trainer, module)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Curves, "on_train_epoch_end", stop)
            yield

    return of
