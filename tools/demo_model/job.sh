#!/bin/bash
# A whole run in the background on a machine with GPUs and no network: pictures and speech are made,
# then the network is trained until DEADLINE (seconds since 1970). Start it in the repository root:
#   DEADLINE=$(($(date +%s) + 1500)) setsid bash tools/demo_model/job.sh CARRIED RUN > RUN.log 2>&1 &
# CARRIED holds what `pack` packed (A and B together); RUN is made; RUN/out/checkpoint is what comes of
# it. Every two minutes RUN/out/keep gets the same in int8 (24 MB): let every call bring that back.
# The run waits for assets/demo-model/model.safetensors if that comes later.
CARRIED=$(realpath "$1") RUN=$2 ORIGIN=$PWD
SPEECH_S=${SPEECH_S:-250} PICTURE_S=${PICTURE_S:-70} GPUS=${GPUS:-3} PICTURE_PROCESSES=${PICTURE_PROCESSES:-18}
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1
export OMP_NUM_THREADS=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True   # batches of many sizes
mkdir -p "$RUN/work/kokoro/voices" "$RUN/work/debroot" "$RUN/site"
RUN=$(realpath "$RUN")
cp -r "$ORIGIN/tools" "$RUN/"                # the tree may change under us
cd "$RUN" || exit 1
ln -sfn work/debroot debroot
echo "start $(date +%T), deadline $(date -d "@$DEADLINE" +%T), $(nproc --all) cores, $GPUS GPUs"
# Batches of pictures go from process to process through /dev/shm.
[ "$(df --output=size -BG /dev/shm | tail -n 1 | tr -dc 0-9)" -ge 8 ] || mount -o remount,size=32G /dev/shm
df -h /dev/shm . | tail -n 2
for part in 1 2; do xz -dc "$CARRIED/kokoro-$part.safetensors.xz" > work/kokoro/kokoro-$part.safetensors & done
tar xf "$CARRIED/engines.tar.xz" -C work/debroot &
tar xf "$CARRIED/tables.tar.xz" -C work &
xz -dc "$CARRIED/voices16.npz.xz" > work/voices16.npz &
cp "$CARRIED/vocab.json" work/kokoro/; cp "$CARRIED/queen.zip" work/
mkdir -p build/demo_model/carry-pictures; cp "$CARRIED/sprites.npz" build/demo_model/carry-pictures/
python3 -c 'import soundfile' 2> /dev/null || {
  for wheel in "$CARRIED"/*.whl; do python3 -m zipfile -e "$wheel" site; done
  export PYTHONPATH=$RUN/site; python3 -c 'import soundfile; print("soundfile", soundfile.__version__)'; }
wait
python3 - <<'END'
import numpy
for name, styles in numpy.load("work/voices16.npz").items():
    styles.astype(numpy.float32).tofile(f"work/kokoro/voices/{name}.bin")
END
CONFIG=${CONFIG:-tools/demo_model/second.yaml}
MAKE="python3 -m tools.demo_model --config $CONFIG --work work"
DEVICES=${DEVICES:-$(for gpu in $(seq 0 $((GPUS - 1))); do echo "cuda:$gpu"; done)}
$MAKE make-pictures --out scenes --seconds "$PICTURE_S" --processes "$PICTURE_PROCESSES" --number 5000 > pictures.log 2>&1 &
OMP_NUM_THREADS=2 $MAKE make-speech --out speech --split held --devices ${DEVICES##*[[:space:]]} > held.log 2>&1 &
OMP_NUM_THREADS=2 $MAKE make-speech --out speech --seconds "$SPEECH_S" --devices $DEVICES > speech.log 2>&1
wait
tail -n 4 speech.log held.log pictures.log; du -sh speech scenes; free -g | head -n 2
START=$ORIGIN/assets/demo-model/model.safetensors
until [ "$(stat -c %F "$START" 2> /dev/null)" = "regular file" ] && [ "$(stat -c %s "$START")" -ge 45960020 ]; do sleep 1; done
mkdir -p start-hf; cp "$ORIGIN"/assets/demo-model/*.json "$ORIGIN/assets/demo-model/model.safetensors" start-hf/
$MAKE grow start-hf --out start --letters "$CARRIED/letters.safetensors" || exit 1
PICTURES=""
if [ -e scenes/scenes-0/index.npz ]; then   # one process for each folder of scenes paints them anew meanwhile
  PICTURES="--pictures scenes"
  $MAKE repaint-pictures --pictures scenes --seconds $((DEADLINE - $(date +%s))) > repaint.log 2>&1 &
fi
train() {  # train PROCESSES RESUME
  python3 -m torch.distributed.run --nproc_per_node "$1" -m tools.demo_model --config $CONFIG \
    --work work train --speech speech --out out --seconds $((DEADLINE - $(date +%s))) --resume "$2" $PICTURES; }
train "$GPUS" start
if [ $? != 0 ] && [ $((DEADLINE - $(date +%s))) -gt 120 ]; then
  echo "several GPUs failed: one"
  FROM=start; [ -e out/checkpoint/state.json ] && cp -r out/checkpoint again && FROM=again
  train 1 $FROM
fi
echo "job over $(date +%T)"
