package fair

// levelPasses bounds how often level looks at all backlogs. What it returns is too low then,
// and the rest is shared the next time.
const levelPasses = 8

// level returns how much each of n may take of an amount, if nobody takes more than it has:
// the sum of the lesser of the two is the amount. There is more than the amount in all.
func level(amount float64, n int, has func(i int) float64) float64 {
	equal := amount / float64(n)
	for range levelPasses {
		rest, more := amount, 0
		for i := range n {
			if b := has(i); b <= equal {
				rest -= b
			} else {
				more++
			}
		}
		if more == 0 {
			return equal
		}
		next := rest / float64(more)
		if next <= equal {
			return equal
		}
		equal = next
	}
	return equal
}
