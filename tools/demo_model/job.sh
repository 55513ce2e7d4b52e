#!/bin/bash
# A whole run in the background on a machine with GPUs and no network: pictures and speech are made,
# and the network is trained on the first GPUS of DEVICES until DEADLINE (seconds since 1970). All of
# DEVICES speak for FIRST_S seconds, the last one until LAST_S and the idle cores until SPEECH_S; training
# begins at TRAIN_S with what is there, and the rest joins. Start it in the repository root:
#   DEADLINE=$(($(date +%s) + 1500)) setsid bash tools/demo_model/job.sh CARRIED RUN > RUN.log 2>&1 &
# CARRIED holds what `pack` packed (A and B together, D any time later); RUN is made; RUN/out/checkpoint
# is what comes of it. Every two minutes RUN/out/keep gets the same in int8 (24 MB): let every call bring that back.
# In the last EVALUATE_S seconds the best of several means of weights is chosen (RUN/out/candidates has
# all in bfloat16), and RUN/out/eval gets what it says of the evaluation sets.
# Training goes on from the shards in CARRIED/start, or starts from CARRIED/demo-model, or from assets/demo-model once
# that is there. Where SCENES exists, it is a folder of make-pictures, and SCENES/made says that it is whole.
CARRIED=$(realpath "$1") RUN=$2 ORIGIN=$PWD
SPEECH_S=${SPEECH_S:-450} FIRST_S=${FIRST_S:-100} PICTURE_S=${PICTURE_S:-80} GPUS=${GPUS:-1}
LAST_S=${LAST_S:-$SPEECH_S} TRAIN_S=${TRAIN_S:-$((FIRST_S - 8))}
PICTURE_PROCESSES=${PICTURE_PROCESSES:-8} SCENES=${SCENES:-/dev/shm/scenes} EVALUATE_S=${EVALUATE_S:-140}
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1
export OMP_NUM_THREADS=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True   # batches of many sizes
mkdir -p "$RUN/work/kokoro/voices" "$RUN/work/debroot" "$RUN/site"
RUN=$(realpath "$RUN")
cp -r "$ORIGIN/tools" "$RUN/"                # the tree may change under us
cd "$RUN" || exit 1
kids() { for kid in $(cat /proc/"$1"/task/*/children 2> /dev/null); do kids "$kid"; echo "$kid"; done; }   # all that it started
running() { for pid in "$@"; do [ -e "/proc/$pid" ] && echo "$pid"; done; }
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
CONFIG=${CONFIG:-tools/demo_model/sixth.yaml}
made() { python3 -m tools.demo_model --config "$CONFIG" --work work "$@"; }
DEVICES=${DEVICES:-$(for gpu in $(seq 0 $((GPUS - 1))); do echo "cuda:$gpu"; done)}
export TORCHINDUCTOR_CACHE_DIR=$RUN/inductor      # what compiling the layers once leaves there is used by training
[ -e "$CARRIED/inductor.tar.xz" ] && tar xf "$CARRIED/inductor.tar.xz"    # and what an earlier run left, if it is carried
BEGUN=$(date +%s)
(OMP_NUM_THREADS=2 made make-speech --out speech --seconds "$SPEECH_S" --first-seconds "$FIRST_S" \
  --last-seconds "$LAST_S" --devices $DEVICES) > speech.log 2>&1 &
SPEECH=$!
(made compile-layers) > compile.log 2>&1 & FIRST=$!
(OMP_NUM_THREADS=2 made make-speech --out speech --split held --devices ${DEVICES##*[[:space:]]}) > held.log 2>&1 & FIRST+=" $!"
if [ -e "$SCENES" ]; then     # painted beforehand, while the rest was carried
  ln -sfn "$SCENES" scenes
  (until [ -e scenes/made ]; do sleep 1; done; cat scenes/made) > pictures.log 2>&1 & FIRST+=" $!"
else
  (nice -n 10 python3 -m tools.demo_model --config "$CONFIG" --work work make-pictures --out scenes \
    --seconds "$PICTURE_S" --processes "$PICTURE_PROCESSES" --number 5000) > pictures.log 2>&1 & FIRST+=" $!"
fi
if [ -e "$CARRIED/start/state.json" ]; then cp -r "$CARRIED/start" start     # shards of a run that was cut off
else
  START=$CARRIED/demo-model
  [ -e "$START" ] || START=$ORIGIN/assets/demo-model
  until [ -e "$START/model.safetensors" ]; do sleep 1; done
  mkdir -p start-hf; cp "$START"/*.json "$START/model.safetensors" start-hf/
  made grow start-hf --out start --letters "$CARRIED/letters.safetensors" || exit 1
fi
some() { ls speech/kokoro-*/index.npz speech/background-*/index.npz speech/person/index.npz > /dev/null 2>&1; }
ready() { some && [ "$(grep -c '^background' speech.log)" -ge "$(ls -d speech/background-* | wc -l)" ]; }   # read once
until { [ $(($(date +%s) - BEGUN)) -ge "$TRAIN_S" ] && [ -z "$(running $FIRST)" ] && ready; } ||
      [ $(($(date +%s) - BEGUN)) -ge $((TRAIN_S + 90)) ] || [ -z "$(running $SPEECH)" ]; do sleep 1; done
tail -n 2 speech.log held.log pictures.log compile.log; du -sh speech scenes; free -g | head -n 2
some || { echo "there is no speech, no sound without words or nobody's recordings: see speech.log"; wait $SPEECH; }
PICTURES=""
if [ -e scenes/scenes-0/index.npz ]; then   # one process for each folder of scenes paints them anew meanwhile
  PICTURES="--pictures scenes"
  (nice -n 10 python3 -m tools.demo_model --config "$CONFIG" --work work repaint-pictures --pictures scenes \
    --seconds $((DEADLINE - EVALUATE_S - $(date +%s)))) > repaint.log 2>&1 &
fi
python3 - "$CONFIG" <<'END'
import sys
import yaml
config = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))       # what is newest left out
config["model"]["dropout"] = 0.0
config["train"]["changed_share"] = 0.0
yaml.safe_dump(config, open("simple.yaml", "w", encoding="utf-8"))
END
TRAINED=$((DEADLINE - EVALUATE_S))
train() {  # train CONFIG PROCESSES RESUME [--plain]; ends it when nothing was said for three minutes
  local run="-m torch.distributed.run --nproc_per_node $2"
  [ "$2" = 1 ] && run=""
  python3 $run -m tools.demo_model --config "$1" --work work train --speech speech --out out \
    --seconds $((TRAINED - $(date +%s))) --resume "$3" $PICTURES $4 &
  local pid=$!
  while [ -n "$(running $pid)" ]; do
    sleep 2
    if [ $(($(date +%s) - $(stat -L -c %Y /proc/$$/fd/1))) -gt 180 ] || [ $(date +%s) -gt $((TRAINED + EVALUATE_S / 2)) ]; then
      echo "training says nothing any more, or took too long to end"; kill -9 $pid $(kids $pid); sleep 1
    fi
  done
  wait $pid; }
FROM=start
for WAY in "$CONFIG $GPUS" "$CONFIG 1" "simple.yaml 1" "simple.yaml 1 --plain"; do      # what fails is tried again in a simpler way
  set -- $WAY
  train $1 $2 $FROM $3 && break
  [ $((TRAINED - $(date +%s))) -gt 60 ] || break
  echo "TRAINING FAILED with '$WAY': it goes on in a simpler way, from the last shards if there are any"
  [ -e out/checkpoint/state.json ] && rm -rf again && cp -r out/checkpoint again && FROM=again
done
mkdir -p out/eval
evaluated() {  # evaluated NAME COMMAND...
  local name=$1; shift
  timeout $((DEADLINE + 15 - $(date +%s))) python3 -m tools.demo_model --config $CONFIG --work work "$@" --model hf --device cuda:0 > out/eval/$name.txt 2>&1
  echo "$name: exit code $?"; }
if made export out/checkpoint hf; then
  cp -r "$ORIGIN/assets/evaluation" .
  PIDS=""
  evaluated translation translate-set --set evaluation/translation.zip --out answers.tsv & PIDS+=" $!"
  evaluated scenes evaluate-scenes --motion --out scenes.tsv & PIDS+=" $!"
  evaluated english evaluate --set evaluation/english.zip --noise --out heard.tsv & PIDS+=" $!"
  [ -e "$CARRIED/recordings.zip" ] && { evaluated people evaluate --set evaluation/english.zip --out people.tsv \
    --recordings "$CARRIED/recordings.zip" --characters work/queen.zip & PIDS+=" $!"; }
  wait $PIDS
  for table in answers scenes scenes.tsv.motion heard people; do [ -e $table.tsv ] && gzip -c $table.tsv > out/eval/$table.tsv.gz; done
fi
echo "job over $(date +%T)"
