package audit

import (
	"bytes"
	"testing"
)

// FuzzTwins checks that a list of twins has images that can be, or is an error.
func FuzzTwins(f *testing.F) {
	header := ""
	for i, name := range twinsHeader {
		if i > 0 {
			header += ","
		}
		header += name
	}
	f.Add([]byte(header + "\ntrain,1,2,test,3,4,0.05,false\n"))
	f.Add([]byte(header + "\ntrain,-1,2,test,99999999999,4,NaN,maybe\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseTwins(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, w := range list {
			if w.A.Index < 0 || w.B.Index < 0 {
				t.Errorf("%+v", w)
			}
		}
	})
}
