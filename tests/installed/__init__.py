"""The package as a newcomer has it: installed, and nothing else."""
