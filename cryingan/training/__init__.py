"""How a run stops and resumes, replicas, CUDA graphs, precision."""
