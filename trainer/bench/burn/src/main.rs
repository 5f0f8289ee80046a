//! Images per second of burn, for comparison: `fmnist-gpu bench --against` runs it.
//!
//! It trains fashioncnn with Adam on a batch in device memory. After each line of
//! input it prints one line of JSON per backend, and an empty line.
//!
//!   usage: burn-peer [--batch-size 64] [--seconds 1] [--backends vulkan,flex,ndarray]
use std::io::{BufRead, Write};
use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d,
};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor};

/// The original's network, as trainer/model/zoo.go has it.
#[derive(Module, Debug)]
struct FashionCnn {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Conv2d,
    bn3: BatchNorm,
    pool: MaxPool2d,
    fc1: Linear,
    dropout: Dropout,
    fc2: Linear,
}

fn conv(channels: usize, out: usize, device: &Device) -> (Conv2d, BatchNorm) {
    let conv = Conv2dConfig::new([channels, out], [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
    (conv.init(device), BatchNormConfig::new(out).init(device))
}

impl FashionCnn {
    fn new(device: &Device) -> Self {
        let (conv1, bn1) = conv(1, 32, device);
        let (conv2, bn2) = conv(32, 64, device);
        let (conv3, bn3) = conv(64, 128, device);
        FashionCnn {
            conv1,
            bn1,
            conv2,
            bn2,
            conv3,
            bn3,
            pool: MaxPool2dConfig::new([2, 2]).init(),
            fc1: LinearConfig::new(128 * 7 * 7, 256).init(device),
            dropout: DropoutConfig::new(0.25).init(),
            fc2: LinearConfig::new(256, 10).init(device),
        }
    }

    /// From (N, 1, 28, 28) to logits (N, 10).
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self
            .pool
            .forward(relu(self.bn1.forward(self.conv1.forward(x))));
        let x = self
            .pool
            .forward(relu(self.bn2.forward(self.conv2.forward(x))));
        let x = relu(self.bn3.forward(self.conv3.forward(x)));
        let x: Tensor<2> = x.flatten(1, 3);
        self.fc2
            .forward(self.dropout.forward(relu(self.fc1.forward(x))))
    }
}

/// What one backend trains, and on what.
struct Trainer {
    name: String,
    device: Device,
    net: Option<FashionCnn>,
    optimizer: ModuleOptimizer,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
    batch: usize,
}

impl Trainer {
    fn new(backend: &str, batch: usize) -> Self {
        let device = match backend {
            "vulkan" => Device::vulkan(DeviceKind::DefaultDevice),
            "flex" => Device::flex(),
            #[allow(deprecated)]
            "ndarray" => Device::ndarray(),
            _ => panic!("unknown backend {backend}: want vulkan, flex or ndarray"),
        }
        .autodiff();
        device.seed(42);
        let images = Tensor::random(
            [batch, 1, 28, 28],
            Distribution::Uniform(-1.0, 1.0),
            &device,
        );
        let labels: Vec<i32> = (0..batch as i32).map(|i| i % 10).collect();
        Trainer {
            name: format!("burn 0.22.1 {backend}"),
            net: Some(FashionCnn::new(&device)),
            optimizer: AdamConfig::new().init(),
            images,
            labels: Tensor::from_ints(labels.as_slice(), &device),
            batch,
            device,
        }
    }

    /// Trains one step and returns the loss, which stays on the device.
    fn step(&mut self) -> Tensor<1> {
        let net = self.net.take().unwrap();
        let logits = net.forward(self.images.clone());
        let loss = CrossEntropyLossConfig::new()
            .init(&self.device)
            .forward(logits, self.labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        self.net = Some(self.optimizer.step(1e-3, net, gradients));
        loss
    }

    /// Trains for that many seconds and returns images per second.
    fn measure(&mut self, seconds: f64) -> f64 {
        self.step();
        self.device.sync().unwrap();
        let (start, mut steps) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < seconds {
            self.step();
            self.device.sync().unwrap();
            steps += 1;
        }
        (steps * self.batch) as f64 / start.elapsed().as_secs_f64()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let flag = |name: &str, default: &str| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1).cloned())
            .unwrap_or(default.into())
    };
    let batch: usize = flag("--batch-size", "64").parse().unwrap();
    let seconds: f64 = flag("--seconds", "1").parse().unwrap();
    let mut trainers: Vec<Trainer> = flag("--backends", "vulkan,flex")
        .split(',')
        .map(|b| Trainer::new(b, batch))
        .collect();
    for t in &mut trainers {
        let first = t.step().into_scalar::<f32>();
        for _ in 0..10 {
            t.step(); // kernels are compiled and tuned
        }
        let last = t.step().into_scalar::<f32>();
        eprintln!(
            "{}: {:?}, loss {first:.3}, after 11 more steps {last:.3}",
            t.name, t.device
        );
        assert!(last < first, "it does not learn");
    }
    for line in std::io::stdin().lock().lines() {
        line.unwrap();
        for t in &mut trainers {
            let speed = t.measure(seconds);
            println!("{{\"name\": {:?}, \"images_per_second\": {speed}}}", t.name);
        }
        println!();
        std::io::stdout().flush().unwrap();
    }
}
