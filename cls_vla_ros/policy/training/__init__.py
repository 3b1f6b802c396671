"""How the CLS head is trained: pairs of frames, nuisances, objective, provenance."""
