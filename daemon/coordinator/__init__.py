"""The coordinator: the directory of sessions behind the API, leader election, reconciling, retention."""
