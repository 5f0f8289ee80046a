package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// A pickle is a program for a stack machine that can call any Python function. This
// machine imports and calls nothing: the result of a class or function is an inert
// stand-in, an object that holds only the class's name and the entries set in it, not
// its attributes. Values that tensors do not need, such as floats and bytes, are
// replaced by the name of their kind, and a list keeps only its first elements. So a
// file may contain anything besides the weights, and a long history takes almost no
// memory.
//
// All instructions of protocols 2 to 5 that torch.save writes are executed. Those of
// extension codes, instances by name (INST, OBJ, PERSID) and buffers outside the
// pickle (NEXT_BUFFER) are errors.
//
// The library nlpodyssey/gopickle does not suit: it rejects a file that calls, fills
// or builds anything without a Go type that has the matching method, it keeps every
// value of a history, and it allocates the size that a frame or string claims to have.

// Limits of a pickle. A history of a million entries fits.
const (
	maxPickle = 1 << 26 // bytes
	maxOps    = 1 << 24 // instructions
	maxStack  = 1 << 21 // values at once
	maxMarks  = 1 << 12 // nested tuples and dictionaries; Python allows 1,000
	maxTuple  = 64      // elements of a tuple or list that are kept
)

// other is a value that is not needed, described in words: "a float".
type other string

// class is a name that the pickle imports.
type class struct{ module, name string }

func (c class) String() string { return c.module + "." + c.name }

// object stands for the result of a class or function.
type object struct {
	made  string // the class or function, or dict or list
	items []item // the first entries set in it; of a list by index
	more  bool   // whether there were others
}

// item is an entry of a dictionary.
type item struct{ key, value any }

// tuple is a tuple's elements.
type tuple []any

// unpickler is the machine. Its stack holds strings, ints, nil and the types above.
type unpickler struct {
	program []byte
	at      int
	stack   []any
	marks   []int // heights of the stack
	memo    []any

	// call returns the result of a class or function with arguments.
	call func(c class, args tuple) any
	// load returns the value for a persistent id.
	load func(id any) any
}

var (
	errCutShort = errors.New("cut short")
	errStack    = errors.New("damaged: an instruction finds too little on the stack")
)

// run executes the program and returns the value it leaves.
func (u *unpickler) run() (root any, err error) {
	defer func() {
		if r := recover(); r != nil {
			failure, known := r.(pickleError)
			if !known {
				panic(r)
			}
			err = failure.error
		}
	}()
	for range maxOps {
		start := u.at
		code := u.bytes(1)[0]
		if code == '.' {
			return u.pop(), nil
		}
		if !u.step(code) {
			return nil, fmt.Errorf("opcode %#02x at %d is not one that torch.save writes", code, start)
		}
		if len(u.stack) > maxStack || len(u.marks) > maxMarks {
			return nil, fmt.Errorf("more than %d values at once, or %d nested ones", maxStack, maxMarks)
		}
	}
	return nil, fmt.Errorf("more than %d instructions", maxOps)
}

// pickleError carries an error from an instruction to run, by panic.
type pickleError struct{ error }

func fail(err error) { panic(pickleError{err}) }

// bytes returns the next n bytes of the program.
func (u *unpickler) bytes(n uint64) []byte {
	if n > uint64(len(u.program)-u.at) {
		fail(errCutShort)
	}
	b := u.program[u.at:][:n]
	u.at += int(n)
	return b
}

// number returns the next n bytes as an unsigned number.
func (u *unpickler) number(n uint64) uint64 {
	var b [8]byte
	copy(b[:], u.bytes(n))
	return binary.LittleEndian.Uint64(b[:])
}

// counted reads a length of n bytes and returns as many of the next bytes.
func (u *unpickler) counted(n uint64) []byte { return u.bytes(u.number(n)) }

// line returns the text up to the next line feed.
func (u *unpickler) line() string {
	n := bytes.IndexByte(u.program[u.at:], '\n')
	if n < 0 {
		fail(errCutShort)
	}
	text := string(u.bytes(uint64(n)))
	u.at++
	return text
}

func (u *unpickler) push(v any) { u.stack = append(u.stack, v) }

// top returns the topmost value, which must be above the last mark.
func (u *unpickler) top() any {
	floor := 0
	if n := len(u.marks); n > 0 {
		floor = u.marks[n-1]
	}
	if len(u.stack) <= floor {
		fail(errStack)
	}
	return u.stack[len(u.stack)-1]
}

func (u *unpickler) pop() any {
	v := u.top()
	u.stack = u.stack[:len(u.stack)-1]
	return v
}

// popMark pops the values above the last mark and the mark. The next push overwrites
// the values.
func (u *unpickler) popMark() []any {
	n := len(u.marks) - 1
	if n < 0 {
		fail(errStack)
	}
	values := u.stack[u.marks[n]:]
	u.stack, u.marks = u.stack[:u.marks[n]], u.marks[:n]
	return values
}

// step executes one instruction and reports whether it is known.
func (u *unpickler) step(code byte) bool {
	return u.stepScalar(code) || u.stepContainer(code) || u.stepMemo(code) || u.stepObject(code)
}

// stepScalar executes the instructions that push a number, text or bytes.
func (u *unpickler) stepScalar(code byte) bool {
	switch code {
	case 'N': // NONE
		u.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		u.push(other("a bool"))
	case 'K': // BININT1
		u.push(int(u.number(1)))
	case 'M': // BININT2
		u.push(int(u.number(2)))
	case 'J': // BININT
		u.push(int(int32(u.number(4))))
	case 0x8a: // LONG1
		u.push(long(u.counted(1)))
	case 0x8b: // LONG4
		u.push(long(u.counted(4)))
	case 'I', 'L': // INT, LONG: in decimal
		u.line()
		u.push(other("an int"))
	case 'F': // FLOAT: in decimal
		u.line()
		u.push(other("a float"))
	case 'G': // BINFLOAT
		u.bytes(8)
		u.push(other("a float"))
	case 'X': // BINUNICODE
		u.push(string(u.counted(4)))
	case 0x8c, 'U': // SHORT_BINUNICODE, SHORT_BINSTRING
		u.push(string(u.counted(1)))
	case 'V': // UNICODE
		u.push(u.line())
	case 'T': // BINSTRING
		u.push(string(u.counted(4)))
	case 'S': // STRING
		u.line()
		u.push(other("a str"))
	case 'C': // SHORT_BINBYTES
		u.counted(1)
		u.push(other("bytes"))
	case 'B': // BINBYTES
		u.counted(4)
		u.push(other("bytes"))
	case 0x8d: // BINUNICODE8
		u.push(string(u.counted(8)))
	case 0x8e, 0x96: // BINBYTES8, BYTEARRAY8
		u.counted(8)
		u.push(other("bytes"))
	default:
		return false
	}
	return true
}

// long returns a little-endian signed number.
func long(b []byte) any {
	if len(b) > 8 {
		return other("an int")
	}
	var padded [8]byte
	if len(b) > 0 && b[len(b)-1] >= 0x80 {
		padded = [8]byte{255, 255, 255, 255, 255, 255, 255, 255}
	}
	copy(padded[:], b)
	return int(binary.LittleEndian.Uint64(padded[:]))
}

// stepContainer executes the instructions that create and fill tuples, lists, sets and
// dictionaries. Elements of sets are dropped.
func (u *unpickler) stepContainer(code byte) bool {
	switch code {
	case '(': // MARK
		u.marks = append(u.marks, len(u.stack))
	case ')': // EMPTY_TUPLE
		u.push(tuple(nil))
	case 't': // TUPLE
		u.push(newTuple(u.popMark()))
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		t := make(tuple, code-0x84)
		for i := range t {
			t[len(t)-1-i] = u.pop()
		}
		u.push(t)
	case ']': // EMPTY_LIST
		u.push(&object{made: list})
	case 'l': // LIST
		o := &object{made: list}
		o.add(u.popMark()...)
		u.push(o)
	case 0x8f: // EMPTY_SET
		u.push(other("a set"))
	case 0x91: // FROZENSET
		u.popMark()
		u.push(other("a frozenset"))
	case 'a': // APPEND
		element := u.pop()
		if o, ok := u.top().(*object); ok {
			o.add(element)
		}
	case 'e', 0x90: // APPENDS, ADDITEMS
		elements := u.popMark()
		if o, ok := u.top().(*object); ok {
			o.add(elements...)
		}
	case '}': // EMPTY_DICT
		u.push(&object{made: dict})
	case 'd': // DICT
		items := u.popMark()
		d := &object{made: dict}
		d.set(items)
		u.push(d)
	case 's': // SETITEM
		value, key := u.pop(), u.pop()
		if o, ok := u.top().(*object); ok {
			o.set([]any{key, value})
		}
	case 'u': // SETITEMS
		items := u.popMark()
		if o, ok := u.top().(*object); ok {
			o.set(items)
		}
	default:
		return false
	}
	return true
}

// The names of Python's dictionary and list.
const (
	dict = "dict"
	list = "list"
)

// add appends elements to a list, up to maxTuple. Those of other objects are
// dropped.
func (o *object) add(elements ...any) {
	if o.made != list {
		return
	}
	for _, e := range elements[:min(len(elements), maxTuple-len(o.items))] {
		o.items = append(o.items, item{len(o.items), e})
	}
}

// set adds alternating keys and values to an object other than a list. Those of a list
// are dropped.
func (o *object) set(items []any) {
	if len(items)%2 != 0 {
		fail(errStack)
	}
	if o.made == list {
		return
	}
	for i := 0; i < len(items); i += 2 {
		if len(o.items) == maxTensors { // too many for a dictionary of tensors
			o.more = true
			return
		}
		o.items = append(o.items, item{items[i], items[i+1]})
	}
}

// newTuple copies a tuple, unless it is too long to be part of a tensor.
func newTuple(elements []any) any {
	if len(elements) > maxTuple {
		return other("a tuple")
	}
	return append(tuple(nil), elements...)
}

// stepMemo executes the instructions that move values within the machine.
func (u *unpickler) stepMemo(code byte) bool {
	switch code {
	case 0x80: // PROTO
		if version := u.number(1); version > 5 {
			fail(fmt.Errorf("pickle protocol %d, want at most 5", version))
		}
	case 0x95: // FRAME: a hint for reading ahead
		if n := u.number(8); n > uint64(len(u.program)-u.at) {
			fail(errCutShort)
		}
	case '0': // POP
		u.pop()
	case '1': // POP_MARK
		u.popMark()
	case '2': // DUP
		u.push(u.top())
	case 'q': // BINPUT
		u.put(u.number(1))
	case 'r': // LONG_BINPUT
		u.put(u.number(4))
	case 0x94: // MEMOIZE
		u.put(uint64(len(u.memo)))
	case 'h': // BINGET
		u.get(u.number(1))
	case 'j': // LONG_BINGET
		u.get(u.number(4))
	case 0x98: // READONLY_BUFFER: of bytes, whose content is not kept
		u.top()
	default:
		return false
	}
	return true
}

func (u *unpickler) put(i uint64) {
	if i > uint64(min(u.at, maxOps)) { // Python numbers values from 0, with an instruction for each
		fail(fmt.Errorf("damaged: it stores value %d, but cannot have stored that many before", i))
	}
	if missing := int(i) + 1 - len(u.memo); missing > 0 {
		u.memo = append(u.memo, make([]any, missing)...)
	}
	u.memo[i] = u.top()
}

func (u *unpickler) get(i uint64) {
	if i >= uint64(len(u.memo)) {
		fail(fmt.Errorf("damaged: it uses value %d, which it has not stored", i))
	}
	u.push(u.memo[i])
}

// stepObject executes the instructions that would import, call and create objects.
func (u *unpickler) stepObject(code byte) bool {
	switch code {
	case 'c': // GLOBAL
		module := u.line()
		u.push(class{module, u.line()})
	case 0x93: // STACK_GLOBAL
		name, isName := u.pop().(string)
		module, isModule := u.pop().(string)
		if !isName || !isModule {
			fail(errors.New("damaged: a class without a name"))
		}
		u.push(class{module, name})
	case 'R', 0x81: // REDUCE, NEWOBJ
		args, _ := u.pop().(tuple)
		u.push(u.made(u.pop(), args))
	case 0x92: // NEWOBJ_EX
		u.pop()
		args, _ := u.pop().(tuple)
		u.push(u.made(u.pop(), args))
	case 'b': // BUILD
		u.pop() // the attributes
		u.top()
	case 'Q': // BINPERSID
		u.push(u.load(u.pop()))
	default:
		return false
	}
	return true
}

// made returns the result of calling a value.
func (u *unpickler) made(callable any, args tuple) any {
	c, ok := callable.(class)
	if !ok { // a method or partial function, itself a stand-in
		return &object{made: kindOf(callable)}
	}
	return u.call(c, args)
}

// kindOf says in words what a value is.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case other:
		return string(v)
	case int:
		return "an int"
	case string:
		return "a str"
	case tuple:
		return "a tuple"
	case class:
		return "the class " + v.String()
	case *object:
		switch v.made {
		case dict:
			return "a dictionary"
		case list:
			return "a list"
		}
		return "made by " + v.made + " (not run)"
	case *tensorView:
		return "a tensor"
	}
	return "a storage"
}
