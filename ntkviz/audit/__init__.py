"""The training set under suspicion: wrong labels, a backdoor, copies, what is typical and what is not."""
