"""The examples, each run as its visitors would."""
