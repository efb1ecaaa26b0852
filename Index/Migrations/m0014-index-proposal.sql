-- Used proposals stay for ever: neither the housekeeping nor a person's erasure may read them all on the writing lane.
CREATE INDEX proposal_by_user ON proposal(user_id, id);
CREATE INDEX proposal_due ON proposal(expires_ms) WHERE state <> 'consumed';
