"""What a proxy tells of single requests: a request log and spans. Both are off unless asked for.

Nothing of this package runs in a proxy that was not asked: its server then makes other connections, and the path has no
question in it that would cost something. What is told is built from times that the path takes anyway, and is written by
a thread, in batches; when that cannot keep up, records are dropped and counted, and requests never wait.
"""

from queue_proxy.observability.flags import Flags, add_flags, flags_from
from queue_proxy.observability.observability import Observability, ObservabilityError

__all__ = ["Flags", "Observability", "ObservabilityError", "add_flags", "flags_from"]
