package model

// BuildPlainly is [Build] without what must change no result: joined layers,
// and ops that work in place.
func BuildPlainly(c Config) (*Net, error) { return build(c, true) }
