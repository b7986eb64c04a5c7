"""Which services hear, think and speak: from the settings to started providers, with a plan B for each.

    settings.stt.engine: [openai-live, openai-file, my-ears]
                              │
                registry ─────┤ makers (those that come along) and installed (entry points)
                              v
               context ──> provider ──> member ──┐
                           provider ──> member ──┼──> chain (providers.plan_b) ──> service_set ──> Services
                           provider ──> member ──┘

A provider of ours is added by one file in ``providers`` and a maker; anybody else's by a package with an
entry point (``docs/providers.md``).
"""

from ..session.setup import Services
from .context import ProviderContext
from .service_set import Service, ServiceSet

__all__ = ["ProviderContext", "Service", "ServiceSet", "Services"]
