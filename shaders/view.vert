#version 450
// A vertex of the live window's triangles. Positions are pixels from the top left
// corner, places in the texture likewise texels.

layout(push_constant) uniform Push {
    float pixel_width;  // 2 / width of the window
    float pixel_height; // 2 / height of the window
    float texel_width;  // 1 / width of the texture
    float texel_height; // 1 / height of the texture
};

layout(location = 0) in vec2 position;
layout(location = 1) in vec2 place;
layout(location = 2) in vec4 colour;

layout(location = 0) out vec2 texture_place;
layout(location = 1) out vec4 tint;

void main() {
    gl_Position = vec4(position * vec2(pixel_width, pixel_height) - 1, 0, 1);
    texture_place = place * vec2(texel_width, texel_height);
    tint = colour;
}
