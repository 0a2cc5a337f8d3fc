"""`pilotlight doctor`: looks at a cluster and says what is missing, with the evidence and the way to mend it.

First everything is looked at (`look`, `picture`), then pure functions say what they find in it (`*_findings`): the same
picture gives the same findings, and what could not be looked at is a finding, too.
"""
