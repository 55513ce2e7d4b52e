#!/bin/bash
# A whole run in the background on a machine with GPUs and no network: pictures and speech are made,
# then the network is trained until DEADLINE (seconds since 1970). Start it in the repository root:
#   DEADLINE=$(($(date +%s) + 1500)) setsid bash tools/demo_model/job.sh CARRIED RUN > RUN.log 2>&1 &
# CARRIED holds what `pack` packed (A and B together); RUN is made; RUN/out/checkpoint is what comes of
# it. Every two minutes RUN/out/keep gets the same in int8 (24 MB): let every call bring that back.
# RUN/out/eval gets what the checkpoint says of the evaluation sets, in the last EVALUATE_S seconds.
# Training starts from CARRIED/demo-model, or from assets/demo-model once that is there.
CARRIED=$(realpath "$1") RUN=$2 ORIGIN=$PWD
SPEECH_S=${SPEECH_S:-250} PICTURE_S=${PICTURE_S:-70} GPUS=${GPUS:-3} PICTURE_PROCESSES=${PICTURE_PROCESSES:-18}
EVALUATE_S=${EVALUATE_S:-75}
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
export TORCHINDUCTOR_CACHE_DIR=$RUN/inductor      # what compiling the layers once leaves there is used by training
timeout 220 $MAKE compile-layers > compile.log 2>&1 &
nice -n 10 $MAKE make-pictures --out scenes --seconds "$PICTURE_S" --processes "$PICTURE_PROCESSES" --number 5000 > pictures.log 2>&1 &
OMP_NUM_THREADS=2 $MAKE make-speech --out speech --split held --devices ${DEVICES##*[[:space:]]} > held.log 2>&1 &
OMP_NUM_THREADS=2 $MAKE make-speech --out speech --seconds "$SPEECH_S" --devices $DEVICES > speech.log 2>&1
wait
tail -n 4 speech.log held.log pictures.log compile.log; du -sh speech scenes; free -g | head -n 2
START=$CARRIED/demo-model
[ -e "$START" ] || START=$ORIGIN/assets/demo-model
until [ "$(stat -L -c %s "$START/model.safetensors" 2> /dev/null || echo 0)" -ge 45960020 ]; do sleep 1; done
mkdir -p start-hf; cp "$START"/*.json "$START/model.safetensors" start-hf/
$MAKE grow start-hf --out start --letters "$CARRIED/letters.safetensors" || exit 1
PICTURES=""
if [ -e scenes/scenes-0/index.npz ]; then   # one process for each folder of scenes paints them anew meanwhile
  PICTURES="--pictures scenes"
  nice -n 10 $MAKE repaint-pictures --pictures scenes --seconds $((DEADLINE - $(date +%s))) > repaint.log 2>&1 &
fi
TRAINED=$((DEADLINE - EVALUATE_S))
train() {  # train PROCESSES RESUME [--plain]
  python3 -m torch.distributed.run --nproc_per_node "$1" -m tools.demo_model --config $CONFIG \
    --work work train --speech speech --out out --seconds $((TRAINED - $(date +%s))) --resume "$2" $PICTURES $3; }
FROM=start
for WAY in "$GPUS" "$GPUS --plain" "1 --plain"; do      # what fails is tried again in a simpler way
  train ${WAY%% *} $FROM $([ "$WAY" = "${WAY#* }" ] || echo --plain) && break
  [ $((TRAINED - $(date +%s))) -gt 60 ] || break
  echo "TRAINING FAILED with '$WAY': it goes on in a simpler way, from the last shards if there are any"
  [ -e out/checkpoint/state.json ] && rm -rf again && cp -r out/checkpoint again && FROM=again
done
mkdir -p out/eval
evaluated() {  # evaluated NAME COMMAND...
  local name=$1; shift
  timeout $((DEADLINE + 15 - $(date +%s))) $MAKE "$@" --model hf --device cuda:0 > out/eval/$name.txt 2>&1
  echo "$name: exit code $?"; }
if $MAKE export out/checkpoint hf; then
  cp -r "$ORIGIN/assets/evaluation" .
  PIDS=""
  evaluated translation translate-set --set evaluation/translation.zip --out answers.tsv & PIDS+=" $!"
  evaluated scenes evaluate-scenes --out scenes.tsv & PIDS+=" $!"
  evaluated english evaluate --set evaluation/english.zip --noise --out heard.tsv & PIDS+=" $!"
  wait $PIDS
  for table in answers scenes heard; do [ -e $table.tsv ] && gzip -c $table.tsv > out/eval/$table.tsv.gz; done
fi
echo "job over $(date +%T)"
