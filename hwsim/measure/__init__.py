"""Real runs on real machines, as the same record that a simulation gives.

| module     | what                                                                        |
|------------|-----------------------------------------------------------------------------|
| `backend`  | what a library offers to be measured: `Backend`, `Runner`, `Sample`          |
"""
