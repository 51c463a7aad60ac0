"""Warp kernels over vertices and pixels: projection, smooth normals, the normal map, merging."""

import warp as wp

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

RUN = wp.constant(32)
"""Columns that a thread takes."""
INSIDE, OUTSIDE, CUT = 0, 1, 2
"""Where a face lies towards the frame's pyramid."""


@wp.func
def barycentric(ray: wp.vec2, a: wp.vec3, b: wp.vec3, c: wp.vec3):
    """The weights of a, b, c where the ray (x, y, 1) t meets their plane; sum 1.

    Camera metres. The triangle may reach behind the camera. Edge functions relative to the
    ray (Olano and Greer 1997), so float32 is enough; zeros when the plane holds the camera.
    """
    ax, ay = a[0] - ray[0] * a[2], a[1] - ray[1] * a[2]
    bx, by = b[0] - ray[0] * b[2], b[1] - ray[1] * b[2]
    cx, cy = c[0] - ray[0] * c[2], c[1] - ray[1] * c[2]
    w = wp.vec3(bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx)
    total = w[0] + w[1] + w[2]
    if total == 0.0:
        return wp.vec3()
    return w / total


@wp.kernel
def project_kernel(
    world: wp.array[wp.vec3],
    rotation: wp.mat33d,
    shift: wp.vec3d,
    focal: wp.float64,
    centre: wp.vec2d,
    near: wp.float64,
    camera: wp.array[wp.vec3],
    snapped: wp.array[wp.vec2i],
):
    """Put world points into camera metres and snap those beyond the near plane to 1/256 px."""
    i = wp.tid()
    w = world[i]
    p = rotation * wp.vec3d(wp.float64(w[0]), wp.float64(w[1]), wp.float64(w[2])) + shift
    c = wp.vec3(wp.float32(p[0]), wp.float32(p[1]), wp.float32(p[2]))
    camera[i] = c
    z = wp.float64(c[2])
    if z >= near:
        x = (focal * wp.float64(c[0]) / z + centre[0]) * wp.float64(256.0)
        y = (focal * wp.float64(c[1]) / z + centre[1]) * wp.float64(256.0)
        limit = wp.float64(1073741824.0)  # 2^22 px: beyond it the cast to int32 is undefined
        x = wp.clamp(wp.floor(x + wp.float64(0.5)), -limit, limit)
        y = wp.clamp(wp.floor(y + wp.float64(0.5)), -limit, limit)
        snapped[i] = wp.vec2i(wp.int32(x), wp.int32(y))


@wp.kernel
def add_normals_kernel(
    world: wp.array[wp.vec3],
    faces: wp.array[wp.vec3i],
    surface: wp.array[wp.int32],
    wanted: wp.array[wp.bool],
    out: wp.array[wp.vec3],
):
    """Add each face's area-weighted normal to its corners; run on the CPU, in order of faces."""
    i = wp.tid()
    if not wanted[surface[i]]:
        return
    f = faces[i]
    a = world[f[0]]
    n = wp.cross(world[f[1]] - a, world[f[2]] - a)
    for k in range(3):
        out[f[k]] = out[f[k]] + n


@wp.kernel
def normalise_kernel(vectors: wp.array[wp.vec3]):
    """Make vectors unit; zero stays zero."""
    i = wp.tid()
    vectors[i] = wp.normalize(vectors[i])


@wp.kernel
def normal_map_kernel(
    keys: wp.array2d[wp.uint64],
    faces: wp.array[wp.vec3i],
    camera: wp.array[wp.vec3],
    normals: wp.array[wp.vec3],
    flat: wp.array[wp.bool],
    to_camera: wp.mat33,
    lens: wp.vec3,  # focal, cx, cy of the samples
    out: wp.array2d[wp.vec3],
):
    """Write the unit normal in camera axes at each pixel centre, turned to face the camera:
    dim (rows, runs of RUN columns).
    """
    i, run = wp.tid()
    last, face = wp.int32(-1), wp.vec3()
    for j in range(run * RUN, wp.min((run + 1) * RUN, keys.shape[1])):
        t = wp.int32(wp.uint32(keys[i, j] & wp.uint64(0xFFFFFFFF)))
        if t >= 0:
            f = faces[t]
            a, b, c = camera[f[0]], camera[f[1]], camera[f[2]]
            if t != last:
                last, face = t, wp.normalize(wp.cross(b - a, c - a))
            n = face
            ray = wp.vec2(
                (wp.float32(j) + 0.5 - lens[1]) / lens[0], (wp.float32(i) + 0.5 - lens[2]) / lens[0]
            )
            if not flat[t]:
                w = barycentric(ray, a, b, c)
                smooth = w[0] * normals[f[0]] + w[1] * normals[f[1]] + w[2] * normals[f[2]]
                if wp.length_sq(smooth) > 0.0:
                    n = wp.normalize(to_camera * smooth)
            if wp.dot(n, wp.vec3(ray[0], ray[1], 1.0)) > 0.0:
                n = -n
            out[i, j] = n


@wp.kernel
def merge_kernel(
    part: wp.array2d[wp.uint64], left: wp.int32, top: wp.int32, keys: wp.array2d[wp.uint64]
):
    """Take over the nearer samples of a part of the buffer: dim (rows, runs of RUN columns)."""
    i, run = wp.tid()
    j = run * RUN
    end = wp.min(j + RUN, part.shape[1])
    while j < end:
        keys[top + i, left + j] = wp.min(keys[top + i, left + j], part[i, j])
        j += 1


@wp.kernel
def facing_kernel(
    camera: wp.array[wp.vec3],
    faces: wp.array[wp.vec3i],
    planes: wp.array[wp.vec4d],
    first: wp.int32,
    weight: wp.array[wp.float64],
    side: wp.array[wp.int32],
):
    """Write each face's area x max(0, cosine to the camera) and its side of all planes."""
    i = wp.tid()
    f = faces[first + i]
    a = wp.vec3d(camera[f[0]])
    b = wp.vec3d(camera[f[1]])
    c = wp.vec3d(camera[f[2]])
    normal = wp.cross(b - a, c - a)
    distance = wp.length(a + b + c)
    if distance > wp.float64(0.0):
        facing = -wp.dot(normal, a + b + c) / distance
        weight[i] = wp.max(facing, wp.float64(0.0)) / wp.float64(2.0)
    for k in range(planes.shape[0]):
        p = planes[k]
        n = wp.vec3d(p[0], p[1], p[2])
        da = wp.dot(n, a) + p[3]
        db = wp.dot(n, b) + p[3]
        dc = wp.dot(n, c) + p[3]
        zero = wp.float64(0.0)
        if da < zero and db < zero and dc < zero:
            side[i] = OUTSIDE
        elif (da < zero or db < zero or dc < zero) and side[i] != OUTSIDE:
            side[i] = CUT
