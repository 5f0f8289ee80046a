package web

import (
	"maps"
	"sync"
	"time"
)

// cache keeps what was read of each run or experiment until its files change.
type cache[T any] struct {
	lock  sync.Mutex
	known map[string]cached[T]
}

type cached[T any] struct {
	stamps [3]fileStamp
	value  T
}

// fileStamp changes when a file does. That of a missing file is the zero value.
type fileStamp struct {
	size int64
	time time.Time
}

// get returns what was read of the name's files when they had the given stamps. If they
// have changed since, it reads them.
func (c *cache[T]) get(name string, stamps [3]fileStamp, read func() T) T {
	c.lock.Lock()
	defer c.lock.Unlock()
	k, ok := c.known[name]
	if !ok || k.stamps != stamps {
		k = cached[T]{stamps, read()}
		if c.known == nil {
			c.known = map[string]cached[T]{}
		}
		c.known[name] = k
	}
	return k.value
}

// keep forgets all but the names for which it is told to keep what it knows.
func (c *cache[T]) keep(listed func(name string) bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	maps.DeleteFunc(c.known, func(name string, _ cached[T]) bool { return !listed(name) })
}
