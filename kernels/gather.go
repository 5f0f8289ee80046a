package kernels

// Gather assembles a batch from the dataset that is resident on the device:
// sample i of the batch is image Order[cursor+i], with cursor from State.
// Pixels are normalised by a table of 256 entries for each channel, so every
// device gives the same float for the same byte:
//
//	X[i,h,w,c] = Table[c, Images[Order[cursor+i], h, w, c]]
//	Y[i]       = Labels[Order[cursor+i]]
//
// On request it augments the image first; see [Augment].
type Gather struct {
	Images Tensor // (M, H, W, C) uint8
	Labels Tensor // (M) uint8
	Order  Tensor // (entries) uint32, each below M
	State  Tensor // (StateWords) uint32
	Table  Tensor // (C, 256)
	X      Tensor // (N, H, W, C)
	Y      Tensor // (N) uint32

	Augment   Augment
	Rotations Tensor // (angles, 2) uint32, optional: cosine and sine of each as int32, times 2¹⁶
	Erasures  Tensor // (rectangles) uint32, present if Augment.Erase is not 0: height<<16 | width, each at least 1 and within the image
}

// Augmented reports whether the op augments images.
func (op Gather) Augmented() bool { return op.Augment.enabled(op.Rotations) }

// Kind implements [Op].
func (Gather) Kind() string { return "Gather" }

// Operands implements [Op].
func (op Gather) Operands() []Operand {
	return []Operand{in("Images", op.Images).of(Uint8), in("Labels", op.Labels).of(Uint8),
		in("Order", op.Order).of(Uint32), in("State", op.State).of(Uint32), in("Table", op.Table),
		out("X", op.X), out("Y", op.Y).of(Uint32),
		in("Rotations", op.Rotations).of(Uint32).optional(), in("Erasures", op.Erasures).of(Uint32).optional()}
}

// Check implements [Op].
func (op Gather) Check() error {
	if err := first(rank("Images", op.Images, 4), rank("X", op.X, 4), rank("Order", op.Order, 1)); err != nil {
		return err
	}
	m, h, w, c := op.Images.Shape[0], op.Images.Shape[1], op.Images.Shape[2], op.Images.Shape[3]
	n := op.X.Shape[0]
	return first(want("Labels", op.Labels, m), want("State", op.State, StateWords), want("Table", op.Table, c, 256),
		want("X", op.X, n, h, w, c), want("Y", op.Y, n), op.Augment.check(h, w, op.Rotations, op.Erasures))
}

// FLOPs implements [Op].
func (op Gather) FLOPs() int { return 0 }

// Traffic returns the bytes that one run reads and writes, counting only the
// batch's part of Images, Labels and Order.
func (op Gather) Traffic() int {
	pixels := op.X.Len()
	return pixels*(1+op.X.Type.Size()) + op.Y.Len()*(1+2*op.Y.Type.Size())
}
