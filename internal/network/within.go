package network

// YieldingIn is Yielding among the strangers of one network: whom a newcomer replaces
// where that network has its share. It returns nil if there are none.
func (c *Crowd[T]) YieldingIn(k Key) *Place[T] {
	n := c.nodes[k]
	if n == nil {
		return nil
	}
	return n.yielding()
}
